// Steps of a stream by so many rows, all layers on one thread: little more than their kernels.
#pragma once

#include <vector>

#include "core/backend.h"
#include "cpu/kernels/kernels.h"
#include "cpu/team.h"

namespace rondo::cpu {

template <class T>
class Layers;

// So many a cell multiplies itself, in a step of one row. Of more a product of their own is faster: it has
// more sums under way at once than a cell has.
constexpr std::int64_t kFewInputs = 8;

// Made ready by Layers::steps for one place of the workspace and of the weights.
template <class T>
struct RowSteps final : Steps {
  struct Layer {
    bool few;  // inputs, which the cell multiplies itself
    Product<T> product;
    ForwardRow<T> step;
    Norm<T> norm_x;  // layer normalisation
  };
  bool step(const void* x, void* h, void* c) override;

  Layers<T>* shared = nullptr;  // by whom threads may share a step; null: never
  const Kernels<T>* kernels;
  const typename Kernels<T>::Cell* cell;
  bool plain;     // no padding, and no second phase
  bool in_place;  // and states of one vector, which is written when all of it has been read
  Range gate_columns, units, second;  // of the product, and of both phases of the cell
  std::int64_t h_size, c_size;        // of a layer's states
  T *h_room, *c_room;                 // [n][Sp], [n][Hp]
  std::vector<Layer> layers;

 private:
  void step_layer(Layer& layer, const T* x, T* h, T* c);
  void step_cell(Layer& layer, T* h, T* c) const;
  void run_cell(const Layer& layer) const;
  FlushAgain::Modes modes_;
};

}  // namespace rondo::cpu
