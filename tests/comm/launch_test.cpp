// Which launcher's variables are believed.
#include "engine/comm/launch.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/files.h"

namespace lethe::test {
namespace {

using Variables = std::map<std::string, std::string>;

Launched launch_of(const Variables& variables) {
  return find_launched([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

void expect_launch(const Variables& variables, const std::string& launcher, int rank, int world) {
  const Launched found = launch_of(variables);
  EXPECT_EQ(found.launcher, launcher);
  EXPECT_EQ(found.rank, rank);
  EXPECT_EQ(found.world, world);
}

TEST(Launch, IsReadFromEachLaunchersVariables) {
  expect_launch({}, "", 0, 1);
  expect_launch({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "3"}}, "mpirun", 2, 3);
  expect_launch({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}}, "srun", 1, 4);
  const Variables place{{"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "29500"}};
  Variables torchrun{{"RANK", "0"}, {"WORLD_SIZE", "2"}};
  torchrun.insert(place.begin(), place.end());
  expect_launch(torchrun, "torchrun", 0, 2);
  EXPECT_EQ(launch_of(torchrun).restarts, 0);
  torchrun.emplace("TORCHELASTIC_RESTART_COUNT", "3");
  EXPECT_EQ(launch_of(torchrun).restarts, 3);
  EXPECT_EQ(launcher_variables().size(), 6u);
}

TEST(Launch, OfABatchScriptIsNoStepAndMpirunInsideAStepComesFirst) {
  expect_launch({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}, "", 0, 1);
  expect_launch({{"SLURM_PROCID", "0"},
                 {"SLURM_STEP_NUM_TASKS", "1"},
                 {"OMPI_COMM_WORLD_RANK", "5"},
                 {"OMPI_COMM_WORLD_SIZE", "6"}},
                "mpirun", 5, 6);
}

TEST(Launch, IsRefusedByTheVariableThatIsWrong) {
  expect_parts(message_of<ConfigError>([] {
                 launch_of({{"RANK", "x"}, {"WORLD_SIZE", "2"}});
               }),
               {"RANK", "\"x\""});
  expect_parts(message_of<ConfigError>([] {
                 launch_of({{"RANK", "0"}, {"WORLD_SIZE", "0"}});
               }),
               {"WORLD_SIZE"});
  expect_parts(message_of<ConfigError>([] {
                 launch_of({{"RANK", "2"}, {"WORLD_SIZE", "2"}});
               }),
               {"RANK: 2 is no rank of 2"});
}

TEST(Launch, ByTorchrunSaysWhereRankZeroIs) {
  const auto variables = [](const std::string& restarts) {
    return Variables{{"RANK", "1"},
                     {"WORLD_SIZE", "2"},
                     {"MASTER_ADDR", "node7"},
                     {"MASTER_PORT", "29500"},
                     {"TORCHELASTIC_RESTART_COUNT", restarts}};
  };
  const StorePlace first = launch_of(variables("0")).place;
  EXPECT_EQ(first.hosts, std::vector<std::string>{"node7"});
  EXPECT_EQ(first.first_port, 29500);
  EXPECT_NE(launch_of(variables("1")).place.token, first.token) << "the processes of two attempts would meet";
  expect_parts(message_of<ConfigError>([] {
                 launch_of({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "node7"}});
               }),
               {"MASTER_PORT"});
}

TEST(Launch, OfOneProcessNeedsNoMpi) {
  EXPECT_EQ(make_comm({"torchrun", 0, 1})->world(), 1);
  EXPECT_EQ(make_comm({})->world(), 1);
}

}  // namespace
}  // namespace lethe::test
