// Predicted times of passes: a sum over layers of what products, weights, steps, threads and copies cost.
// But for projection_size, every term grows with every size, and a minimum is taken only between such sums,
// so that a prediction never falls when a size grows.
#include "core/cost_model.h"

#include <algorithm>

namespace rondo {
namespace {

// Doubles, since products of sizes may pass 64 bits.
struct Sizes {
  explicit Sizes(const Work& work) : Sizes(work.config, work) {}
  Sizes(const RnnConfig& c, const Work& work)
      : t(static_cast<double>(work.t)),
        n(static_cast<double>(work.n)),
        h(static_cast<double>(c.hidden_size)),
        s(static_cast<double>(state_size(c))),
        layers(static_cast<double>(c.num_layers)),
        directions(num_directions(c)),
        inputs(static_cast<double>(c.input_size)),
        inner(static_cast<double>(layer_input_size(c, 1))),
        column(num_gates(c.cell) * h),
        recurrent(column * s + (c.projection_size > 0 ? h * s : 0)),
        element(static_cast<double>(element_bytes(c.dtype))),
        from_zeros(work.from_zeros),
        training(work.phase == Phase::kTraining),
        again(training && c.checkpoint_every > 0) {}
  double t, n, h, s, layers, directions, inputs, inner;
  double column;     // gates of a row
  double recurrent;  // weights that are read at each step, of one layer and direction
  double element;
  bool from_zeros;
  bool training, again;  // again: checkpoints have backward run the steps once more
};

// Weights that a thread reads over and over come from the first cache that holds them. Sizes that the
// cores of the day have; that a larger one is never faster keeps the sums growing whatever is measured.
double read_us(double bytes, const CpuCost& cost) {
  constexpr double kFirst = 32 << 10, kSecond = 1 << 20;
  if (bytes <= kFirst) return bytes / cost.l1_bytes_per_us;
  const double second = std::min(cost.l1_bytes_per_us, cost.l2_bytes_per_us);
  return bytes / (bytes <= kSecond ? second : std::min(second, cost.far_bytes_per_us));
}

double handover_us(const Sizes& z, const CpuCost& cost) {
  return z.training ? cost.training_handover_us : cost.handover_us;
}

// Reading or multiplying so many weights, whichever takes longer, for a thread that has so many rows.
double product_us(const Sizes& z, const CpuCost& cost, double rows, double weights) {
  return std::max(2 * weights * rows / (cost.flops_per_us * 4 / z.element),
                  read_us(weights * z.element, cost));
}

// What the first step of a forward pass does not do without a state.
double spared_us(const Sizes& z, const CpuCost& cost, double rows, double part) {
  const double projection = z.recurrent - z.column * z.s;
  return product_us(z, cost, rows, z.recurrent * part) - product_us(z, cost, rows, projection * part);
}

// All steps of one layer and direction, of a thread that has so many rows and such a part of the units.
double steps_us(const Sizes& z, const CpuCost& cost, double rows, double part) {
  const double width = 4 / z.element;  // rates are given for f32; vectors hold bytes
  const double pointwise = z.column * part * rows / (cost.elements_per_us * width);
  const double passes = z.t * ((z.training ? cost.training_factor : 1) + (z.again ? 1 : 0));
  const double all = passes * (cost.step_us + product_us(z, cost, rows, z.recurrent * part) + pointwise);
  return z.from_zeros ? all - std::min(passes, 1.0) * spared_us(z, cost, rows, part) : all;
}

// Whether several threads would share the steps so. Shares are of four rows at least, or of a cache line of
// units.
bool suits(Loop loop, const Work& work, const Sizes& z, Threads threads) {
  if (loop == Loop::kOne) return true;
  if (loop == Loop::kRows) return z.n > 4;
  return threads.meet && !work.config.layer_norm && z.s > 64 / z.element;  // layer_norm needs whole rows
}

// The steps of one layer and direction.
double loop_us(Loop loop, const Sizes& z, const CpuCost& cost, int threads) {
  const double k = threads, passes = (z.training ? 2 : 1) + (z.again ? 1 : 0);
  if (loop == Loop::kOne) return steps_us(z, cost, z.n, 1);
  if (loop == Loop::kRows) {
    return passes * handover_us(z, cost) + steps_us(z, cost, std::max(std::min(z.n, 4.0), z.n / k), 1);
  }
  const double part = std::min(1.0, std::max(1 / k, 64 / z.element / z.s));
  return passes * (handover_us(z, cost) + z.t * cost.meeting_us) + steps_us(z, cost, z.n, part);
}

// The input product of one layer and direction, and in training the gradients.
double products_us(const Sizes& z, const CpuCost& cost, double inputs, int threads) {
  const double weights = z.column * inputs / threads;
  const double products = 2 * weights * z.t * z.n / (cost.flops_per_us * 4 / z.element);
  const double factor = (z.training ? cost.training_factor : 1) + (z.again ? 1 : 0);
  // Those of W, R and x are products too.
  const double handovers = threads > 1 ? (z.training ? 4 : 1) + (z.again ? 1 : 0) : 0;
  return factor * std::max(products, read_us(weights * z.element, cost)) + handovers * handover_us(z, cost);
}

}  // namespace

Divisions divisions(const Work& work, const CpuCost& cost, Threads threads) {
  const Sizes z(work);
  const double calls = z.layers * ((z.training ? 2 : 1) + (z.again ? 1 : 0));
  Divisions found;
  const auto offer = [&](int k, Loop loop) {
    // From the second layer on all are alike.
    double products = products_us(z, cost, z.inputs, k);
    if (z.layers > 1) products += (z.layers - 1) * products_us(z, cost, z.inner, k);
    const double us = z.directions * (calls * cost.call_us + z.layers * loop_us(loop, z, cost, k) + products);
    int at = found.count++;
    for (; at > 0 && us < found.all[at - 1].us; --at) found.all[at] = found.all[at - 1];
    found.all[at] = {k, loop, us};
  };
  offer(1, Loop::kOne);
  for (const Loop loop : {Loop::kOne, Loop::kRows, Loop::kUnits}) {
    if (threads.most > 1 && suits(loop, work, z, threads)) offer(threads.most, loop);
  }
  return found;
}

Division divide(const Work& work, const CpuCost& cost, Threads threads) {
  const Divisions found = divisions(work, cost, threads);
  const auto uses_all = [&](const Division& d) { return threads.most <= 1 || d.threads > 1; };
  return *std::find_if(found.all, found.all + found.count, uses_all);
}

Division choose_division(const Work& work, const CpuCost& cost, Threads threads) {
  return divisions(work, cost, threads).all[0];
}

double predict_us(const Work& work, const CpuCost& cost, int threads) {
  return divide(work, cost, {threads}).us;
}

int choose_threads(const Work& work, const CpuCost& cost, int most) {
  return choose_division(work, cost, {most}).threads;
}

double predict_us(const Work& work, const CudaCost& cost) {
  const Sizes z(work);
  const double factor = (z.training ? cost.training_factor : 1) + (z.again ? 1 : 0);
  const double calls = (z.training ? 2 : 1) + (z.again ? 1 : 0);
  const double rate = cost.flops_per_us * 4 / z.element;
  const double step = std::max(
      {cost.step_us, 2 * z.recurrent * z.n / rate, z.recurrent * z.element / cost.weight_bytes_per_us});
  const double products = 2 * z.column * (z.inputs + (z.layers - 1) * z.inner) * z.t * z.n / rate;
  return calls * cost.call_us + factor * z.directions * (z.layers * z.t * step + products) +
         predict_copies_us(work, cost) + predict_parameter_copies_us(work, cost);
}

double predict_copies_us(const Work& work, const CudaCost& cost) {
  if (!work.data_on_host) return 0;
  const RnnConfig& c = work.config;
  const double directions = num_directions(c), t = static_cast<double>(work.t);
  const double outputs = c.merge == Merge::kNone ? directions : 1, states = c.cell == Cell::kLstm ? 2 : 1;
  const double x = t * static_cast<double>(c.input_size);
  const double y = (c.outputs == Outputs::kLast ? 1 : t) * static_cast<double>(output_size(c));
  const double state = static_cast<double>(c.num_layers) * directions * static_cast<double>(c.hidden_size);
  const double row = (x + outputs * y + states * state) * static_cast<double>(element_bytes(c.dtype));
  // x goes there; y, h_n and c_n come back. Backward's dy, dx, dh0 and dc0 are of the same sizes.
  const double passes = work.phase == Phase::kTraining ? 2 : 1;
  return passes *
         ((1 + outputs + states) * cost.copy_us + row * static_cast<double>(work.n) / cost.copy_bytes_per_us);
}

double predict_parameter_copies_us(const Work& work, const CudaCost& cost) {
  if (!work.parameters_on_host || work.phase != Phase::kTraining) return 0;
  const double bytes = static_cast<double>(parameter_count(work.config)) *
                       static_cast<double>(element_bytes(work.config.dtype));
  // Each step of an optimizer: gradients come back, and the new parameters go there.
  return 2 * (cost.copy_us + bytes / cost.copy_bytes_per_us);
}

}  // namespace rondo
