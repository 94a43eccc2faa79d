// Steps of a stream by so many rows, all layers on one thread: little more than their kernels.
#pragma once

#include <vector>

#include "core/backend.h"
#include "cpu/kernels/kernels.h"
#include "cpu/team.h"

namespace rondo::cpu {

template <class T>
class Layers;

// Whether a step's cell multiplies its inputs itself. Of more inputs a product of their own is faster: it has
// more sums under way at once than a cell has.
template <class T>
bool multiplies_inputs(const typename Kernels<T>::Cell& cell, std::int64_t n, std::int64_t inputs) {
  constexpr std::int64_t kMost = 8;
  return n == 1 && inputs <= kMost && cell.forward_row != nullptr;
}

// Made ready by Layers::steps for one place of the workspace and of the weights.
template <class T>
struct RowSteps final : Steps {
  struct Layer {
    bool few;  // inputs
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
