// The seeds of two fuzz targets, run as tests.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/files.h"
#include "tests/fuzz/adapter_config.h"
#include "tests/fuzz/model_config.h"

namespace lethe {
namespace {

template <class Run>
void run_seeds(const std::string& name, Run run) {
  int accepted = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(LETHE_SOURCE_DIR "/tests/fuzz/seeds/" + name)) {
    SCOPED_TRACE(entry.path().string());
    EXPECT_NO_THROW(accepted += run(test::read_bytes(entry.path().string())));
  }
  EXPECT_GE(accepted, 3);
}

TEST(ConfigSeeds, ModelsEndInAnErrorOrReadTheSameAgain) {
  run_seeds("model_config", run_model_config);
}

TEST(ConfigSeeds, AdaptersEndInAnErrorOrReadTheSameAgain) {
  run_seeds("adapter_config", run_adapter_config);
}

}  // namespace
}  // namespace lethe
