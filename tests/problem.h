// A problem: one network and one call with all its data drawn from a seed; solved by the library
// through both of its interfaces and compared with the reference.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "guarded.h"
#include "reference.h"
#include "rondo/rondo.h"
#include "tolerance.h"

namespace rondo::testing {

// Which of a call's arrays are there where they may be absent, and which outputs lie in the input that
// they may replace, where both are there.
struct Given {
  bool y = true, y_reverse = true, h_n = true, c_n = true, c = true;
  bool dy = true, dy_reverse = true, dh_n = true, dc_n = true, dc = true;
  bool dx = true, dh0 = true, dc0 = true, dparameters = true;
  bool h_n_is_h0 = false, c_n_is_c0 = false, dh0_is_dh_n = false, dc0_is_dc_n = false;
};

struct Problem {
  RnnConfig config;
  std::int64_t t = 1, n = 1;
  std::uint64_t seed = 1;
  std::vector<std::int64_t> lengths;  // empty: all T
  bool lengths_i64 = false;
  std::vector<std::uint8_t> mask, resets;  // [T, N] whatever the layout; empty: none
  bool initial_state = true;
  bool input_masks = false, recurrent_masks = false, layer_masks = false;
  bool zoneout_masks = false, dropconnect_masks = false;
  bool one_element_off = false;  // caller's arrays start off any vector's alignment
  double x_scale = 1;
  // Data of few bits: W x is exact, so that large terms that cancel do not magnify rounding.
  bool few_bits = false;
  std::int64_t spare_t = 0, spare_n = 0;  // the plan is at least that much larger than the call
  Given given;
  Device device;  // of level one
};

// Which gradients come in from outside.
enum class Paths { kAll, kOutputs, kFinalH, kFinalC, kCellSequence };
std::string to_string(Paths paths);
// Those that make sense for a network.
std::vector<Paths> all_paths(const RnnConfig& config);

struct Data {
  reference::Call<double> call;
  reference::Upstream<double> upstream;
};
// x, dy and dc hold NaN in the padding of ragged rows and where a mask leaves a step out for good: nothing
// may read it. Every value is one of config.dtype.
Data draw(const Problem& problem);
// The same call in inference, which applies no dropout.
Data without_dropout(const Data& data);
reference::Upstream<double> select(const reference::Upstream<double>& all, Paths paths);

Shape x_shape(const Problem& p);
Shape y_shape(const Problem& p);
Shape state_shape(const Problem& p);
Shape cell_state_shape(const Problem& p);
Shape cell_sequence_shape(const Problem& p);
Shape flags_shape(const Problem& p);
Shape input_mask_shape(const Problem& p, std::int64_t layer);
Shape recurrent_mask_shape(const Problem& p);
Shape layer_mask_shape(const Problem& p);
Shape zoneout_h_mask_shape(const Problem& p);
Shape zoneout_c_mask_shape(const Problem& p);
Shape dropconnect_mask_shape(const Problem& p);

template <class T>
struct Solution {
  reference::Results<T> results;
  reference::Gradients<T> gradients;
};

// The reference in the wider type and in T, forward run once, backward for any upstream. An activation or a
// clip that comes within rounding of its kink has no gradient to compare: near_kink() says so.
template <class T>
class Truth {
 public:
  using Wide = typename Precision<T>::Truth;
  using Own = typename Precision<T>::Own;
  Truth(const Problem& problem, const Data& data);
  bool near_kink() const;
  void compare_forward(const std::string& by, const reference::Results<T>& got, Measured& measured) const;
  void compare_backward(const std::string& by, const reference::Gradients<T>& got,
                        const reference::Upstream<double>& upstream, Measured& measured) const;

 private:
  const Problem& problem_;
  LongestSums sums_;
  reference::Network<Wide> wide_;
  reference::Network<Own> same_;
  // Of data moved by a rounding each: how much the problem itself magnifies one, also where same_ was lucky.
  reference::Network<Wide> moved_;
};

// The next seed whose data stay clear of kinks. For a SimpleRNN's relu in 16 bits draw() itself sees to that.
template <class T>
Data draw_clear_of_kinks(Problem& problem);

// Level two: one plan, workspace and tape for problems of one configuration, in turn. Whatever a call may
// not read is full of NaN, and around each buffer are red zones.
template <class T>
class ByPlan {
 public:
  ByPlan(Phase phase, std::span<const Problem> problems);
  reference::Results<T> infer(const Problem& problem, const Data& data);
  Solution<T> train(const Problem& problem, const Data& data, const reference::Upstream<double>& upstream);

 private:
  PackedWeights pack(const Data& data) const;
  void expect_zones_intact() const;

  Plan plan_;
  Guarded<std::byte> workspace_, kept_;
  Tape tape_;
};
// Level one.
template <class T>
Solution<T> train_by_rnn(const Problem& problem, const Data& data,
                         const reference::Upstream<double>& upstream);

// All of the above for problems of one configuration; `every_path` runs backward once for each upstream
// path, else once for all together.
template <class T>
void check_problems(std::vector<Problem> problems, bool every_path, Measured& measured);

// RONDO_TEST_CASE=name runs only the case of that name.
bool selected(const std::string& case_name);

}  // namespace rondo::testing
