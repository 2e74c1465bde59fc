// What the CUDA backend does around the kernels: copies in every direction, their order, and its memory.
#include <numeric>

#include "engine/backend/libraries.h"
#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

std::vector<uint8_t> pattern(int64_t bytes, uint32_t seed) {
  std::vector<uint8_t> made(static_cast<size_t>(bytes));
  uint32_t state = seed * 2654435761u + 1;
  for (uint8_t& b : made) {
    state = state * 1664525u + 1013904223u;
    b = static_cast<uint8_t>(state >> 24);
  }
  return made;
}

TEST(CudaLibraries, TellTheirVersions) {
  LETHE_NEEDS_GPU();
  const LibraryVersions found = cuda_libraries();
  ASSERT_EQ(found.size(), 3u);
  for (const auto& [name, version] : found) {
    EXPECT_TRUE(version == "absent" || version.find('.') != std::string::npos) << name << " " << version;
  }
  EXPECT_NE(found[0].second, "absent");
  EXPECT_NE(found[1].second, "absent");
}

// Widths below and beyond a staging buffer's 8 MiB, rows that fill several of them, and pitches with gaps.
TEST(CudaCopies, RowsArriveAndReturnAndLeaveTheGapsAlone) {
  LETHE_NEEDS_GPU();
  const auto backend = make_cuda_backend();
  struct Case {
    int64_t row_bytes, rows, pitch;
  };
  for (const Case& c : {Case{0, 5, 256}, Case{1, 1, 1}, Case{7, 1025, 64}, Case{4096, 5000, 4352},
                        Case{int64_t{20} << 20, 1, int64_t{20} << 20},
                        Case{(int64_t{9} << 20) + 3, 3, int64_t{10} << 20}, Case{1025, 0, 1025}}) {
    const std::vector<uint8_t> rows = pattern(c.row_bytes * c.rows, 1);
    std::vector<uint8_t> whole = pattern(c.pitch * c.rows, 2), got(whole.size()), back(rows.size());
    const auto memory = backend->allocate(c.pitch * c.rows);
    backend->upload(memory.get(), whole.data(), static_cast<int64_t>(whole.size()));
    backend->upload_rows(memory.get(), c.pitch, rows.data(), c.row_bytes, c.rows);
    for (int64_t r = 0; r < c.rows; ++r) {
      std::copy_n(rows.begin() + r * c.row_bytes, c.row_bytes, whole.begin() + r * c.pitch);
    }
    backend->download(got.data(), memory.get(), static_cast<int64_t>(got.size()));
    EXPECT_TRUE(got == whole) << c.row_bytes << " x " << c.rows;
    backend->download_rows(back.data(), memory.get(), c.pitch, c.row_bytes, c.rows);
    EXPECT_TRUE(back == rows) << c.row_bytes << " x " << c.rows;
  }
}

// Some hundred pieces of unlike tensors, made by several threads, behind work that is still queued.
TEST(CudaCopies, SourcesArriveWholeAndLeaveTheGapsAlone) {
  LETHE_NEEDS_GPU();
  const auto backend = make_cuda_backend();
  struct Case {
    int64_t row_bytes, rows, pitch;
  };
  const Case cases[] = {
      {4096, 30000, 4096}, {4096, 5000, 4352}, {7, 1025, 64}, {(int64_t{3} << 20) + 2, 3, int64_t{4} << 20}};
  std::vector<std::vector<uint8_t>> rows, whole;
  std::vector<std::shared_ptr<void>> memory;
  std::vector<RowSource> sources;
  for (const Case& c : cases) {
    const auto i = static_cast<uint32_t>(rows.size());
    rows.push_back(pattern(c.row_bytes * c.rows, i));
    whole.push_back(pattern(c.pitch * c.rows, i + 50));
    memory.push_back(backend->allocate(c.pitch * c.rows));
    backend->upload(memory.back().get(), whole.back().data(), static_cast<int64_t>(whole.back().size()));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    sources.push_back({memory[i].get(), cases[i].pitch, cases[i].row_bytes, cases[i].rows,
                       [&, i](int64_t first, int64_t count, std::byte* to) {
                         const auto* from = reinterpret_cast<const std::byte*>(rows[i].data());
                         std::copy_n(from + first * cases[i].row_bytes, count * cases[i].row_bytes, to);
                       }});
  }
  backend->upload_sources(sources);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Case& c = cases[i];
    for (int64_t r = 0; r < c.rows; ++r)
      std::copy_n(rows[i].begin() + r * c.row_bytes, c.row_bytes, whole[i].begin() + r * c.pitch);
    std::vector<uint8_t> got(whole[i].size());
    backend->download(got.data(), memory[i].get(), static_cast<int64_t>(got.size()));
    EXPECT_TRUE(got == whole[i]) << i;
  }
}

// More than the ring of inputs holds, so that it goes round many times; a read must see the inputs that were
// queued before it and none that came after.
TEST(CudaCopies, QueuedInputsAndReadsKeepTheirOrder) {
  LETHE_NEEDS_GPU();
  const auto backend = make_cuda_backend();
  constexpr int64_t kBytes = 300'001, kTail = 17;
  const auto memory = backend->allocate(1 << 20);
  auto* base = static_cast<std::byte*>(memory.get());
  std::vector<std::unique_ptr<QueuedRead>> reads;
  for (uint32_t i = 0; i < 200; ++i) {
    const std::vector<uint8_t> first = pattern(kBytes, i), tail = pattern(kTail, i + 1000);
    const std::vector<Upload> parts = {{base, first.data(), kBytes},
                                       {base + kBytes, tail.data(), kTail},  // touches the first
                                       {base + 512'000, tail.data(), kTail},
                                       {base + 600'000, tail.data(), 0}};
    backend->queue_uploads(parts);
    const std::vector<DeviceRange> ranges = {
        {base + kBytes - 1, 1}, {base + kBytes, kTail}, {base + 512'000, kTail}};
    reads.push_back(backend->queue_read(ranges));
  }
  for (uint32_t i = 0; i < 200; ++i) {
    reads[i]->wait();
    EXPECT_TRUE(reads[i]->ready());
    const std::vector<uint8_t> tail = pattern(kTail, i + 1000);
    EXPECT_EQ(*static_cast<const uint8_t*>(reads[i]->data(0)), pattern(kBytes, i).back());
    for (const size_t range : {1u, 2u}) {
      const auto* got = static_cast<const uint8_t*>(reads[i]->data(range));
      EXPECT_TRUE(std::equal(tail.begin(), tail.end(), got)) << "step " << i << " range " << range;
    }
  }
  reads.clear();
}

TEST(CudaMemory, UsedIsWhatWasAllocated) {
  LETHE_NEEDS_GPU();
  const auto backend = make_cuda_backend();
  constexpr int64_t kBytes = int64_t{1} << 30;
  const int64_t free = backend->free_memory();
  {
    const auto memory = backend->allocate(kBytes);
    EXPECT_NEAR(static_cast<double>(backend->memory_used()), static_cast<double>(kBytes), 0.01 * kBytes);
    EXPECT_NEAR(static_cast<double>(free - backend->free_memory()), static_cast<double>(kBytes),
                0.01 * kBytes);
  }
  EXPECT_LT(backend->memory_used(), kBytes / 100);
}

}  // namespace
}  // namespace lethe::test
