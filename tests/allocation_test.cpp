// After planning, a pass of one step neither allocates nor locks: counted in the C library's own functions.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "instruction_sets.h"
#include "rejected.h"
#include "rondo/rondo.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RONDO_COUNTS_CALLS 0  // the sanitizers replace these functions themselves
#else
#define RONDO_COUNTS_CALLS 1
#endif

namespace {
std::atomic<bool> counting{false};
std::atomic<int> allocations{0}, locks{0}, products{0};
thread_local bool in_blas = false;
thread_local bool is_caller = false;  // the thread whose calls are counted

[[maybe_unused]] void count(std::atomic<int>& calls) {
  if (counting.load(std::memory_order_relaxed) && !in_blas) ++calls;
}
}  // namespace

#if RONDO_COUNTS_CALLS
// Definitions in the program win over those of the C library, also for the libraries that it links.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) {
  count(allocations);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t n, std::size_t bytes) {
  count(allocations);
  return __libc_calloc(n, bytes);
}
void* realloc(void* old, std::size_t bytes) {
  count(allocations);
  return __libc_realloc(old, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count(allocations);
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  count(allocations);
  *out = __libc_memalign(alignment, bytes);
  return *out == nullptr ? ENOMEM : 0;
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static const auto next =
      reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  // Of the caller alone: a thread of the team that starts late takes a lock of the C library's by itself.
  if (is_caller) count(locks);
  return next(mutex);
}
// What a BLAS does inside is its own: some kernels of OpenBLAS allocate at every call.
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc) {
  static const auto next = reinterpret_cast<decltype(&cblas_sgemm)>(dlsym(RTLD_NEXT, "cblas_sgemm"));
  count(products);
  in_blas = true;
  next(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  in_blas = false;
}
}
#endif

namespace rondo::testing {
namespace {

struct Counts {
  int allocations, locks, products;  // the last: calls of the BLAS
};
template <class Call>
Counts counted(Call&& call) {
  allocations = locks = products = 0;
  is_caller = counting = true;
  call();
  is_caller = counting = false;
  return {allocations, locks, products};
}

class Allocation : public ::testing::TestWithParam<Cell> {
 protected:
  void SetUp() override {
    if (!RONDO_COUNTS_CALLS) GTEST_SKIP() << "sanitizers replace the functions that are counted";
  }
};

TEST_P(Allocation, TheCounterCounts) {
  Rnn rnn(valid_config(GetParam()), Device{});
  const Tensor x = filled(DType::kF32, {kT, kN, kI});
  EXPECT_GT(counted([&] { (void)rnn.forward(x); }).allocations, 0);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  EXPECT_EQ(counted([&] { pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex); }).locks, 1);
}

TEST_P(Allocation, StepFromTheFirstOnNeitherAllocatesNorLocks) {
  for (const std::int64_t hidden : {5, 256}) {  // one that threads share, where there are several
    RnnConfig config = valid_config(GetParam());
    config.hidden_size = hidden;
    config.num_layers = 2;
    Rnn rnn(config, Device{});
    State state = rnn.make_state(3);
    const Tensor x = filled(DType::kF32, {3, kI});
    for (int i = 0; i < 5; ++i) {
      const Counts counts = counted([&] { (void)rnn.step(x, state); });
      EXPECT_EQ(counts.allocations, 0) << "H=" << hidden << ", step " << i;
      EXPECT_EQ(counts.locks, 0) << "H=" << hidden << ", step " << i;
      EXPECT_EQ(counts.products, 0) << "H=" << hidden << ", step " << i;
    }
  }
}

TEST_P(Allocation, StepsOfSomeRowsNeitherAllocateNorLock) {
  RnnConfig config = valid_config(GetParam());
  config.num_layers = 2;
  Rnn rnn(config, Device{});
  State state = rnn.make_state(8);
  const Tensor x = filled(DType::kF32, {8, kI});
  const std::int64_t rows[] = {7, 0, 3, 4, 2, 6, 1, 5};
  for (std::int64_t n = 0; n <= 8; ++n) {  // other numbers of them each time
    const ConstTensorView some(x.view().data, DType::kF32, {n, kI}), chosen(rows, Shape{n});
    const Counts counts = counted([&] { (void)rnn.step(some, state, chosen); });
    EXPECT_EQ(counts.allocations, 0) << n << " rows";
    EXPECT_EQ(counts.locks, 0) << n << " rows";
    EXPECT_EQ(counts.products, 0) << n << " rows";
  }
}

TEST_P(Allocation, StepsBetweenOtherCallsDoNotAllocate) {
  Rnn rnn(valid_config(GetParam()), Device{});
  State state = rnn.make_state(1);
  const Tensor x = filled(DType::kF32, {1, kI});
  for (std::int64_t t = 1; t <= 20; ++t) {  // more sizes than the network keeps plans for
    (void)rnn.forward(filled(DType::kF32, {t, 1, kI}));
    const Counts counts = counted([&] { (void)rnn.step(x, state); });
    EXPECT_EQ(counts.allocations, 0) << "after T=" << t;
    EXPECT_EQ(counts.products, 0) << "after T=" << t;
  }
}

TEST_P(Allocation, APlannedForwardOfOneStepNeitherAllocatesNorLocks) {
  ValidCall call(valid_config(GetParam()), Phase::kInference);
  const Tensor x = filled(DType::kF32, {1, kN, kI});
  Tensor y = filled(DType::kF32, {1, kN, kH});
  call.forward.x = x;
  call.forward.y = y;
  call.forward.lengths = {};
  for (int i = 0; i < 3; ++i) {
    const Counts counts = counted([&] { call.plan.forward(call.weights, call.forward); });
    EXPECT_EQ(counts.allocations, 0) << "call " << i;
    EXPECT_EQ(counts.locks, 0) << "call " << i;
    EXPECT_EQ(counts.products, 0) << "call " << i;
  }
}

// In a longer pass only the BLAS library may allocate.
void expect_training_allocates_nothing(const RnnConfig& config, bool masked) {
  ValidCall call(config);
  call.plan = Plan(config, {.phase = Phase::kTraining, .max_t = kT, .max_n = kN, .resets = masked});
  AlignedBytes memory(call.plan.tape_bytes()), workspace(call.plan.workspace_bytes());
  call.forward.workspace = call.backward.workspace = workspace.span();
  Tape tape(memory.span());
  call.forward.tape = &tape;
  const std::uint8_t mask[kT * kN] = {1, 0, 1, 1, 0, 1, 1, 1, 0, 0},
                               resets[kT * kN] = {0, 0, 1, 0, 0, 1, 1, 0};
  if (masked) call.forward.mask = {mask, Shape{kT, kN}}, call.forward.resets = {resets, Shape{kT, kN}};
  const auto pass = [&] {
    call.plan.forward(call.weights, call.forward);
    call.plan.backward(call.weights, tape, call.backward);
  };
  pass();
  const Counts counts = counted(pass);
  EXPECT_EQ(counts.allocations, 0);
  EXPECT_EQ(counts.products, 0);
}

// Weight gradients of large layers are a BLAS's, where its vectors are as wide as ours.
TEST_P(Allocation, TheCounterCountsProductsOfLargeLayers) {
  const ForcedInstructionSet narrow("scalar");
  RnnConfig config = valid_config(GetParam());
  config.hidden_size = 1456;
  Rnn rnn(config, Device{});
  const Tensor x = filled(DType::kF32, {1, 1, kI});
  Tape tape;
  ForwardOptions options;
  options.tape = &tape;
  const ForwardResult result = rnn.forward(x, options);
  BackwardOptions gradients;
  gradients.dy = result.y;
  EXPECT_GT(counted([&] { (void)rnn.backward(tape, gradients); }).products, 0);
}

TEST_P(Allocation, TrainingOverASequenceAllocatesNothing) {
  RnnConfig config = valid_config(GetParam());
  config.num_layers = 2;
  config.direction = Direction::kBidirectional;
  expect_training_allocates_nothing(config, false);
}

TEST_P(Allocation, NorUnderMasksAndResets) {
  RnnConfig config = valid_config(GetParam());
  config.num_layers = 2;
  config.direction = Direction::kBidirectional;
  config.masked_outputs = MaskedOutputs::kRepeat;
  expect_training_allocates_nothing(config, true);
}

TEST_P(Allocation, NorUnderCheckpoints) {
  RnnConfig config = valid_config(GetParam());
  config.num_layers = 2;
  config.dropout = 0.25;
  config.checkpoint_every = 2;
  expect_training_allocates_nothing(config, false);
  expect_training_allocates_nothing(config, true);
}

INSTANTIATE_TEST_SUITE_P(Cells, Allocation, ::testing::Values(Cell::kSimpleRnn, Cell::kLstm, Cell::kGru),
                         [](const auto& tested) { return to_string(tested.param); });

}  // namespace
}  // namespace rondo::testing
