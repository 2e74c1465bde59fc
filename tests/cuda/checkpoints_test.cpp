// Copies of the GPU's memory to the host's beside training: what they hold, what waits for them, and runs
// whose checkpoints are written from them.
#include <cuda_runtime_api.h>

#include <numeric>

#include "engine/checkpoint.h"
#include "engine/snapshot.h"
#include "engine/step_inputs.h"
#include "tests/cuda/compare.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

std::vector<uint8_t> counted(int64_t bytes, int first) {
  std::vector<uint8_t> made(static_cast<size_t>(bytes));
  for (size_t i = 0; i < made.size(); ++i) made[i] = static_cast<uint8_t>(first + i * 31 + i / 251);
  return made;
}

TEST(CudaQueuedCopies, TheHostsMemoryIsPinnedAndWhatNoMachineHasIsRefused) {
  LETHE_NEEDS_GPU();
  const auto backend = make_cuda_backend();
  for (const int64_t bytes : {0, 1, 1 << 20}) {
    const auto memory = backend->allocate_host(bytes);
    cudaPointerAttributes attributes = {};
    ASSERT_EQ(cudaPointerGetAttributes(&attributes, memory.get()), cudaSuccess);
    EXPECT_EQ(attributes.type, cudaMemoryTypeHost) << bytes;
  }
  EXPECT_THROW(backend->allocate_host(int64_t{1} << 50), MemoryError);
  EXPECT_NO_THROW(backend->wait());  // the refusal is no error of a later call
}

// Rows that touch, with gaps, and none.
TEST(CudaQueuedCopies, RowsArriveWithoutTheGaps) {
  LETHE_NEEDS_GPU();
  const auto backend = make_cuda_backend();
  struct Case {
    int64_t row_bytes, rows, pitch;
  };
  const Case cases[] = {{4096, 5000, 4096}, {4096, 5000, 4352}, {7, 1025, 64}, {0, 5, 256}, {64, 0, 64}};
  std::vector<std::shared_ptr<void>> device;
  std::vector<std::shared_ptr<std::byte>> host;
  std::vector<Download> parts;
  for (const Case& c : cases) {
    const std::vector<uint8_t> rows = counted(c.row_bytes * c.rows, static_cast<int>(parts.size()));
    device.push_back(backend->allocate(std::max<int64_t>(1, c.pitch * c.rows)));
    host.push_back(backend->allocate_host(c.row_bytes * c.rows));
    backend->upload_rows(device.back().get(), c.pitch, rows.data(), c.row_bytes, c.rows);
    parts.push_back({host.back().get(), device.back().get(), c.pitch, c.row_bytes, c.rows});
  }
  const auto copies = backend->queue_copies(parts);
  copies->wait();
  EXPECT_EQ(copies->held_seconds(), 0.0) << "nothing was held";
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::vector<uint8_t> rows = counted(cases[i].row_bytes * cases[i].rows, static_cast<int>(i));
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), reinterpret_cast<const uint8_t*>(host[i].get()))) << i;
  }
}

// Of 256 MB the first and the last bytes are changed before each copy. One that did not wait for what was
// queued would have the first bytes of the round before, one that is not waited for the last of the next: it
// gets there some milliseconds after the change was queued.
TEST(CudaQueuedCopies, ComeAfterWhatWasQueuedAndBeforeWhatIsHeld) {
  LETHE_NEEDS_GPU();
  const auto backend = make_cuda_backend();
  constexpr int64_t kBytes = int64_t{1} << 28, kEnd = 4096;
  constexpr int kRounds = 6;
  const auto memory = backend->allocate(kBytes);
  auto* base = static_cast<std::byte*>(memory.get());
  std::vector<std::shared_ptr<std::byte>> host;
  for (int i = 0; i < kRounds; ++i) host.push_back(backend->allocate_host(kBytes));
  std::vector<std::unique_ptr<QueuedCopies>> copies;
  for (int i = 0; i < kRounds; ++i) {
    const std::vector<uint8_t> values = counted(kEnd, i);
    const std::vector<Upload> ends = {{base, values.data(), kEnd},
                                      {base + kBytes - kEnd, values.data(), kEnd}};
    backend->queue_uploads(ends);
    const std::vector<Download> parts = {{host[static_cast<size_t>(i)].get(), base, kBytes, kBytes, 1}};
    copies.push_back(backend->queue_copies(parts));
    copies.back()->hold_programs();
    copies.back()->hold_programs();  // once is enough, and twice no harm
  }
  backend->wait();
  for (int i = 0; i < kRounds; ++i) {
    const auto round = static_cast<size_t>(i);
    copies[round]->wait();
    const std::optional<double> held = copies[round]->held_seconds();
    ASSERT_TRUE(held.has_value());
    EXPECT_GT(*held, 0);
    const std::vector<uint8_t> values = counted(kEnd, i);
    const auto* got = reinterpret_cast<const uint8_t*>(host[round].get());
    EXPECT_TRUE(std::equal(values.begin(), values.end(), got)) << i;
    EXPECT_TRUE(std::equal(values.begin(), values.end(), got + kBytes - kEnd)) << i;
  }
}

// Two matrices of 16 million elements with their moments, 400 MB, and a step of a few tokens: an update that
// did not wait would come in the copy's midst.
ProgramSpec heavy_spec() {
  ProgramSpec spec = tiny_spec(DType::f32);
  spec.config.hidden_size = 512;
  spec.config.vocab_size = 32000;
  spec.deterministic = true;
  return spec;
}

// The bytes of all that is saved, as a file would get them.
std::vector<std::byte> bytes_of(const std::vector<TensorToWrite>& tensors) {
  std::vector<std::byte> all;
  for (const TensorToWrite& t : tensors) {
    const int64_t rows = t.shape.empty() ? 1 : elements_of(t.shape) / t.shape.back();
    const int64_t width = t.shape.empty() ? 1 : t.shape.back();
    const size_t end = all.size();
    all.resize(end + static_cast<size_t>(rows * width * bits_of(t.type) / 8));
    t.fill(0, rows, all.data() + end);
  }
  return all;
}

TEST(CudaSnapshot, IsWhatTheStepBeforeItLeftThoughTheNextIsQueued) {
  LETHE_NEEDS_GPU();
  const ProgramSpec spec = heavy_spec();
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  const MicroBatch part = batch.part(0, spec.rows);
  std::vector<std::vector<std::byte>> copies[2];
  for (const bool beside : {false, true}) {
    TinyRun run(spec, make_cuda_backend());
    const State& state = run.session->state();
    Snapshot snapshot(*run.session, tensors_to_save(state));
    Trainer trainer(*run.session, *run.programs.step);
    trainer.set_before_update([&] { snapshot.before_update(); });
    const std::vector<double> rates(
        static_cast<size_t>(elements_of(state[state.require(step::learning_rate)].shape)), 1e-2);
    trainer.step({part}, 1, rates);
    for (int64_t s = 2; s <= 5; ++s) {
      if (!beside) run.session->backend().wait();
      snapshot.take();
      if (!beside) snapshot.wait();
      trainer.step({part}, s, rates);
      snapshot.wait();
      copies[beside ? 1 : 0].push_back(bytes_of(snapshot.tensors()));
      run.session->backend().wait();
      EXPECT_TRUE(snapshot.held_seconds().has_value());
      if (beside) {
        EXPECT_GT(snapshot.held_seconds().value_or(0), 0) << "step " << s;
      }
    }
    trainer.finish();
  }
  for (size_t i = 0; i < copies[0].size(); ++i) {
    EXPECT_GT(copies[0][i].size(), size_t{300} << 20);
    EXPECT_TRUE(copies[0][i] == copies[1][i]) << "after step " << i + 1;
    if (i > 0) {
      EXPECT_FALSE(copies[0][i] == copies[0][i - 1]) << "step " << i + 1 << " changed nothing";
    }
  }
}

}  // namespace
}  // namespace lethe::test
