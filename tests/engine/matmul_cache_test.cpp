#include "engine/backend/matmul_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/backend/user_cache.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

using kernels::MatmulChoices;
using kernels::MatmulProduct;
using kernels::MatmulType;

const MatmulMachine kMachine = {"NVIDIA H200", 132, 13000, 130101};

MatmulProduct product(int64_t m) {
  return {.types = {MatmulType::bf16, MatmulType::bf16, MatmulType::bf16},
          .m = m,
          .n = 4096,
          .k = 1025,
          .pitches = {1032, 1032, 4096},
          .alignments = {256, 16, 256},
          .workspace = 1 << 20};
}

// Two products with times that the file's three digits hold.
MatmulChoices sample() {
  return {{product(7), {{1, 2, 3, 4, 5, 6, 7, 8}, 12.5}},
          {product(8192), {{9, 0, 0, 0, 0, 0, 0, 9}, 1122.125}}};
}

class Cache : public testing::Test {
 protected:
  // What a file with this text gives.
  MatmulChoices loaded(const std::string& text) {
    write_text(cache_.file(), text);
    return cache_.load();
  }
  Folder folder_;
  MatmulCache cache_{folder_.path(), kMachine};
};

TEST_F(Cache, KeepsChoices) {
  EXPECT_TRUE(cache_.load().empty());
  cache_.merge(sample());
  EXPECT_EQ(cache_.load(), sample());
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"NVIDIA_H200-132sm-driver13000-cublaslt130101.txt"});
  EXPECT_EQ(MatmulCache(folder_.path(), kMachine).load(), sample());
}

TEST_F(Cache, MakesItsFolder) {
  const MatmulCache deeper(folder_ / "a/b", kMachine);
  deeper.merge(sample());
  EXPECT_EQ(deeper.load(), sample());
}

TEST_F(Cache, AddsToWhatIsThere) {
  cache_.merge(sample());
  MatmulChoices expected = sample();
  const MatmulChoices further = {{product(7), {{5}, 11}}, {product(64), {{6}, 3}}};
  for (const auto& [p, choice] : further) expected.insert_or_assign(p, choice);
  cache_.merge(further);
  EXPECT_EQ(cache_.load(), expected);
}

TEST_F(Cache, IsOfOneMachine) {
  cache_.merge(sample());
  std::vector<MatmulMachine> others(4, kMachine);
  others[0].gpu = "NVIDIA H100 80GB HBM3";
  others[1].multiprocessors = 114;
  others[2].driver = 12080;
  others[3].library = 130200;
  for (const MatmulMachine& m : others) {
    const MatmulCache other(folder_.path(), m);
    EXPECT_NE(other.file(), cache_.file());
    EXPECT_TRUE(other.load().empty());
    // Nor does a copy under the other's name deceive it.
    write_text(other.file(), read_bytes(cache_.file()));
    EXPECT_TRUE(other.load().empty());
  }
}

TEST_F(Cache, PassesOverWhatIsNotWhole) {
  cache_.merge(sample());
  const std::string good = read_bytes(cache_.file());
  EXPECT_EQ(loaded(good), sample());
  EXPECT_TRUE(loaded("").empty());
  EXPECT_TRUE(loaded("something else\n").empty());
  EXPECT_TRUE(loaded(std::string(64, '\0')).empty());
  EXPECT_TRUE(loaded(good + "nt bf16;00;1\n").empty());
  EXPECT_TRUE(loaded(good + "\n").empty());
  for (size_t length = 1; length < good.size(); length += 29) {
    if (good[length - 1] == '\n') continue;  // whole lines are no sign of loss
    EXPECT_TRUE(loaded(good.substr(0, length)).empty()) << length;
  }
  std::string changed = good;
  changed.replace(changed.find(";0"), 2, ";x");
  EXPECT_TRUE(loaded(changed).empty());
  changed = good;
  changed.replace(changed.rfind(';'), std::string::npos, ";nan\n");
  EXPECT_TRUE(loaded(changed).empty());
  // And is written anew by the next tuning.
  cache_.merge(sample());
  EXPECT_EQ(cache_.load(), sample());
}

TEST_F(Cache, SaysBeforehandThatNothingCanBeKept) {
  cache_.require_writable();
  EXPECT_TRUE(folder_.names().empty());
  write_text(folder_ / "file", "");
  EXPECT_THROW(MatmulCache(folder_ / "file", kMachine).require_writable(), IoError);
  const MatmulCache none("", kMachine);
  EXPECT_TRUE(none.load().empty());
  EXPECT_THROW(none.require_writable(), IoError);
}

TEST(CacheFolder, IsTheUsers) {
  const auto with = [](const char* cache, const char* home) {
    ::setenv("XDG_CACHE_HOME", cache, 1);
    ::setenv("HOME", home, 1);
    return user_cache_folder("matmul");
  };
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : "";
  EXPECT_EQ(with("/c", "/h"), "/c/lethe/matmul");
  EXPECT_EQ(with("", "/h"), "/h/.cache/lethe/matmul");
  EXPECT_EQ(with("relative", "/h"), "/h/.cache/lethe/matmul");
  EXPECT_EQ(with("", ""), "");
  ::setenv("HOME", home.c_str(), 1);
  ::unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace lethe::test
