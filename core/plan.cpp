// Level two: validate, then hand to the backend's plan.
#include "rondo/plan.h"

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
Shape Tape::x_shape() const { return record_ && record_->weights ? record_->forward.x.shape : Shape(); }

Plan::Plan(const RnnConfig& config, const PlanOptions& options) : config_(config), options_(options) {
  validate_plan(config, options);
  const auto& [phase, max_t, max_n, device, stream, resets, ragged] = options;
  Backend& backend = backend_of(device);
  const Request request{.config = config,
                        .phase = phase,
                        .max_t = max_t,
                        .max_n = max_n,
                        .device = device,
                        .data_on_host = device.kind != Device::Kind::kCpu,
                        .stream = stream,
                        .resets = resets,
                        .ragged = ragged};
  const Support support = backend.supports(request);
  if (!support.ok) throw DeviceError(to_string(device) + ": " + support.reason);
  impl_ = backend.make_plan(request);
}

std::size_t Plan::workspace_bytes() const { return impl_->workspace_bytes(); }
std::size_t Plan::tape_bytes() const { return impl_->tape_bytes(); }
std::string Plan::path() const { return impl_->path(); }

PackedWeights Plan::pack(ConstTensorView parameters) const {
  validate_parameters("pack", config_, options_.device, parameters);
  std::unique_ptr<Packed> packed = impl_->pack(parameters.data);
  packed->device = options_.device;
  PackedWeights weights;
  weights.packed_ = std::move(packed);
  return weights;
}

void Plan::forward(const PackedWeights& weights, const ForwardArgs& args) {
  const Packed* packed = weights.packed_.get();
  if (args.tape == nullptr) {
    const auto [t, n] = validate_forward(*this, packed, args, nullptr);
    return impl_->forward(*packed, {args, t, n, nullptr, nullptr});
  }
  validate_tape({.exists = args.tape->record_ != nullptr});
  Tape::Record& record = *args.tape->record_;
  validate_tape({.fixed = options_.stream == nullptr || !record.owns});
  const auto [t, n] = validate_forward(*this, packed, args, record.owns ? nullptr : &record.memory);
  record.weights.reset();  // a pass that fails leaves an empty tape
  if (record.owns) {
    record.owned.reserve(options_.device, tape_bytes());
    record.memory = record.owned.span();
  }
  record.host.reserve(impl_->host_tape_bytes());
  impl_->forward(*packed, {args, t, n, record.memory.data(), record.host.span().data()});
  record.plan = record.awaited = impl_;
  record.weights = weights.packed_;
  record.forward = args;
}

bool Plan::recorded(const Tape& tape) const {
  return tape.record_ && tape.record_->weights && tape.record_->plan.lock() == impl_;
}
bool Plan::awaits_backward() const { return impl_.use_count() > 1; }

void Plan::backward(const PackedWeights& weights, Tape& tape, const BackwardArgs& args) {
  validate_tape({.exists = tape.record_ != nullptr});
  Tape::Record& r = *tape.record_;
  validate_tape({.recorded = r.weights != nullptr,
                 .unused = r.awaited != nullptr,
                 .same_plan = recorded(tape),
                 .same_weights = r.weights == weights.packed_});
  const auto [t, n] = validate_backward(*this, r.forward, args, r.memory);
  r.awaited.reset();
  impl_->backward(*r.weights, {args, r.forward, t, n, r.memory.data(), r.host.span().data()});
}

}  // namespace rondo
