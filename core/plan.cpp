// Level two: validate, then hand to the backend's plan.
#include "rondo/plan.h"

#include <atomic>
#include <utility>

#include "core/backend.h"
#include "core/tape.h"
#include "core/validate.h"

namespace rondo {

Tape::Tape() : record_(std::make_unique<Record>()) {}
Tape::Tape(std::span<std::byte> memory) : Tape() {
  record_->owns = false;
  record_->memory = memory;
}
Tape::~Tape() = default;
Tape::Tape(Tape&&) noexcept = default;
Tape& Tape::operator=(Tape&&) noexcept = default;
Shape Tape::x_shape() const { return record_ && record_->recorded ? record_->forward.x.shape : Shape(); }

namespace {

std::unique_ptr<BackendPlan> make_backend_plan(const RnnConfig& config, const PlanOptions& options) {
  validate_plan(config, options);
  Backend& backend = backend_of(options.device);
  const Request request{config, options.phase, options.max_t, options.max_n, options.device,
                        options.device.kind != Device::Kind::kCpu};
  const Support support = backend.supports(request);
  if (!support.ok) throw DeviceError(to_string(options.device) + ": " + support.reason);
  return backend.make_plan(request);
}

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

Plan::Plan(const RnnConfig& config, const PlanOptions& options)
    : config_(config), options_(options), number_(next_number()), impl_(make_backend_plan(config, options)) {}
Plan::~Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;

std::size_t Plan::workspace_bytes() const { return impl_->workspace_bytes(); }
std::size_t Plan::tape_bytes() const { return impl_->tape_bytes(); }
std::string Plan::path() const { return impl_->path(); }

PackedWeights Plan::pack(ConstTensorView parameters) const {
  validate_parameters("pack", "parameters", config_, options_.device, parameters);
  PackedWeights weights;
  std::shared_ptr<Packed> packed = impl_->pack(parameters.data);
  packed->device = options_.device;
  weights.packed_ = std::move(packed);
  return weights;
}

void Plan::forward(const PackedWeights& weights, const ForwardArgs& args) {
  const CallSizes sizes = validate_forward(config_, options_, workspace_bytes(), args);
  validate_weights("forward", config_, options_.device,
                   args.tape == nullptr ? Phase::kInference : Phase::kTraining, weights.packed_.get());
  if (args.tape == nullptr) return impl_->forward(*weights.packed_, {args, sizes.t, sizes.n, nullptr});
  validate_tape({args.tape->record_ != nullptr, true, false, true, true});
  Tape::Record& record = *args.tape->record_;
  record.recorded = record.used = false;
  if (record.owns) {
    record.owned.reserve(tape_bytes());
    record.memory = record.owned.span();
  }
  validate_memory("forward", "tape", record.memory, tape_bytes());
  validate_tape_apart("forward", record.memory, args);
  impl_->forward(*weights.packed_, {args, sizes.t, sizes.n, record.memory.data()});
  record.recorded = true;
  record.plan = number_;
  record.awaited = impl_;
  record.weights = weights.packed_;
  record.t = sizes.t;
  record.n = sizes.n;
  record.forward = args;
}

bool Plan::recorded(const Tape& tape) const {
  return tape.record_ && tape.record_->recorded && tape.record_->plan == number_;
}
bool Plan::awaits_backward() const { return impl_.use_count() > 1; }

void Plan::backward(const PackedWeights& weights, Tape& tape, const BackwardArgs& args) {
  validate_tape({tape.record_ != nullptr, true, false, true, true});
  Tape::Record& record = *tape.record_;
  validate_tape({true, record.recorded, record.used, record.plan == number_, record.weights == weights.packed_});
  validate_tape_apart("backward", record.memory, args);
  validate_backward(config_, options_.device, {record.t, record.n}, workspace_bytes(), record.forward, args);
  record.used = true;
  record.awaited.reset();
  impl_->backward(*record.weights, {args, record.forward, record.t, record.n, record.memory.data()});
}

}  // namespace rondo
