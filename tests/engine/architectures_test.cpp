// Which GPUs and drivers a build runs on.
#include "engine/architectures.h"

#include <gtest/gtest.h>

#include "engine/backend/backend.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

TEST(Architectures, ACubinRunsOnItsMajorVersionFromItsMinorOn) {
  EXPECT_TRUE(has_code_for("80-real", 8, 0));
  EXPECT_TRUE(has_code_for("80-real", 8, 9));
  EXPECT_FALSE(has_code_for("86-real", 8, 0));
  EXPECT_FALSE(has_code_for("80-real", 9, 0));
  EXPECT_TRUE(has_code_for("100-real", 10, 3));
  EXPECT_FALSE(has_code_for("100-real", 12, 0));
}

TEST(Architectures, OneWithItsOwnFeaturesRunsOnNothingElse) {
  EXPECT_TRUE(has_code_for("90a-real", 9, 0));
  EXPECT_TRUE(has_code_for("90a", 9, 0));
  EXPECT_FALSE(has_code_for("90a-real", 10, 0));
  EXPECT_FALSE(has_code_for("90a", 10, 0)) << "its PTX is no more portable than its cubin";
}

TEST(Architectures, PtxRunsOnAnythingNotOlder) {
  EXPECT_TRUE(has_code_for("80-virtual", 8, 0));
  EXPECT_TRUE(has_code_for("80-virtual", 11, 0));
  EXPECT_FALSE(has_code_for("80-virtual", 7, 5));
  EXPECT_TRUE(has_code_for("80", 12, 1)) << "no suffix: both";
}

TEST(Architectures, AListHasCodeIfOneOfItHas) {
  const std::string all = "80-real 86-real 89-real 90a-real 100-real 120-real 80-virtual 120-virtual";
  for (const auto& [major, minor] : {std::pair{8, 0}, {8, 6}, {8, 9}, {9, 0}, {10, 0}, {12, 0}, {13, 0}}) {
    EXPECT_TRUE(has_code_for(all, major, minor)) << major << "." << minor;
  }
  EXPECT_FALSE(has_code_for(all, 7, 5));
  EXPECT_FALSE(has_code_for("", 9, 0));
  EXPECT_FALSE(has_code_for("native", 9, 0));
}

TEST(Architectures, ADriverMustBeOfTheRuntimesMajorVersion) {
  EXPECT_EQ(driver_trouble(13000, 13000), "");
  EXPECT_EQ(driver_trouble(13000, 13020), "") << "minor versions are compatible";
  EXPECT_EQ(driver_trouble(14010, 13000), "");
  expect_parts(driver_trouble(12080, 13000), {"up to 12.8", "CUDA 13.0 or newer is needed"});
  expect_parts(driver_trouble(0, 13000), {"no NVIDIA driver", "13.0"});
}

TEST(Devices, AreNamedByKindAndNumber) {
  int ordinal = -1;
  EXPECT_TRUE(parse_device("cuda:12", &ordinal));
  EXPECT_EQ(ordinal, 12);
  for (const char* text : {"auto", "cpu", "cuda"}) {
    EXPECT_TRUE(parse_device(text, &ordinal)) << text;
    EXPECT_EQ(ordinal, 0);
  }
  for (const char* text : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:+1", "cuda: 1", "CUDA",
                           "cuda:99999999999", "cpu:0"}) {
    EXPECT_FALSE(parse_device(text)) << text;
  }
  EXPECT_THROW(make_backend({.device = "cuda:999"}), Error);
}

}  // namespace
}  // namespace lethe::test
