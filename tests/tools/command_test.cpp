// The command line: dispatch in this process, and the built `lethe` with its exit status.
#include "tools/command.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/options/train_options.h"

namespace lethe {
namespace {

struct Outcome {
  int status = -1;
  std::string out, err;
};

std::string content(const std::string& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// Runs the built command through the shell; `arguments` may redirect.
Outcome lethe_command(const std::string& arguments) {
  const std::string stem =
      testing::TempDir() + "lethe_command_" + testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::string out = stem + ".out", err = stem + ".err";
  const int status = std::system(("'" LETHE_COMMAND "' >'" + out + "' 2>'" + err + "' " + arguments).c_str());
  const Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, content(out), content(err)};
  std::remove(out.c_str());
  std::remove(err.c_str());
  return outcome;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Lethe, HelpAndVersionGoToStandardOutputWithStatusZero) {
  for (const char* arguments : {"--help", "doctor --help", "options --help", "--version"}) {
    const Outcome outcome = lethe_command(arguments);
    EXPECT_EQ(outcome.status, 0) << arguments;
    EXPECT_FALSE(outcome.out.empty()) << arguments;
    EXPECT_TRUE(outcome.err.empty()) << outcome.err;
  }
  EXPECT_TRUE(holds(lethe_command("--help").out, "doctor"));
  EXPECT_TRUE(holds(lethe_command("options --help").out, "lora.rank"));
}

TEST(Lethe, WrongRequestsHaveStatusTwoAndNothingOnStandardOutput) {
  const std::pair<const char*, const char*> requests[] = {
      {"", "usage"},
      {"docter", "did you mean doctor?"},
      {"doctor --jsno", "--jsno"},
      {"options lethe", "lethe"},
      {"options --check /no/such.yaml", "/no/such.yaml"},
      {"options --set lora.rnak=1", "did you mean lora.rank?"},
      {"options --set lora.rank=0", "1 to 65536"},
      {"options --set", "--set"},
  };
  for (const auto& [arguments, words] : requests) {
    const Outcome outcome = lethe_command(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_TRUE(outcome.out.empty()) << arguments << ": " << outcome.out;
    EXPECT_TRUE(holds(outcome.err, words)) << arguments << ": " << outcome.err;
  }
  EXPECT_EQ(lethe_command("options --set lora.rank=0").err.substr(0, 15), "lethe options: ");
}

TEST(Lethe, AResultThatCannotBeWrittenIsAFailure) {
  for (const char* arguments : {"options >/dev/full", "--help >/dev/full"}) {
    EXPECT_EQ(lethe_command(arguments).status, 1) << arguments;
  }
}

TEST(Lethe, OptionsChecksAConfigurationAndSaysWhereEachValueCameFrom) {
  const std::string file = testing::TempDir() + "lethe_checked.yaml";
  std::ofstream(file) << "model.path: m\ndata.train: a.txt\nlora.rank: 4\n";
  const Outcome outcome = lethe_command("options train --json --check " + file + " --set lora.alpha=3");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto values = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(values["lora.rank"]["source"], file + ":3");
  EXPECT_EQ(values["lora.alpha"]["value"], "3");
  std::remove(file.c_str());
}

TEST(Lethe, TheDoctorReportsTheMachine) {
  const Outcome outcome = lethe_command("doctor --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto machine = nlohmann::json::parse(outcome.out);
  EXPECT_GE(machine["cpu"]["cores"].get<int>(), 1);
  EXPECT_GT(machine["memory"]["total_bytes"].get<int64_t>(), 0);
  EXPECT_LE(machine["memory"]["available_bytes"], machine["memory"]["total_bytes"]);
  EXPECT_GT(machine["openblas"]["sgemm_gflops"].get<double>(), 0);
  EXPECT_TRUE(machine["cuda"]["devices"].is_array());
  EXPECT_TRUE(holds(lethe_command("doctor").out, "sgemm"));
}

// ---- dispatch, with commands that exist only here

int fails_underway(const std::vector<std::string>&) {
  throw RunError("the disk is full");
}
int is_asked_wrongly(const std::vector<std::string>&) {
  throw DataError("the corpus is empty");
}
int meets_another_error(const std::vector<std::string>&) {
  throw std::bad_alloc();
}

int sums_up(const std::vector<std::string>& arguments) {
  CLI::App app("Reads a configuration.", "lethe sum");
  ConfigArguments config;
  add_config_arguments(app, config, train_table(), ConfigFile::optional);
  parse(app, arguments);
  const Settings settings = load_settings(train_table(), config);
  std::printf("%s|%d|%s", config.file.c_str(), static_cast<int>(settings.get<int64_t>("lora.rank")),
              settings.get<std::string>("output").c_str());
  return 0;
}

constexpr Command commands[] = {{"fail", "fails", fails_underway},
                                {"wrong", "is wrong", is_asked_wrongly},
                                {"other", "meets another error", meets_another_error},
                                {"sum", "sums up", sums_up}};

Outcome dispatched(const std::vector<std::string>& arguments) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.status = dispatch(commands, arguments);
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

TEST(Dispatch, TellsAWrongRequestFromAFailure) {
  Outcome outcome = dispatched({"fail"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "lethe fail: the disk is full\n");
  outcome = dispatched({"wrong"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.err, "lethe wrong: the corpus is empty\n");
  EXPECT_EQ(dispatched({"other"}).status, 1);
  EXPECT_EQ(dispatched({"som"}).status, 2);
}

TEST(Dispatch, ReadsTheFileThenEachAssignmentInOrder) {
  const std::string file = testing::TempDir() + "lethe_dispatch.yaml";
  std::ofstream(file) << "lora.rank: 4\noutput: here\n";
  EXPECT_EQ(dispatched({"sum", file}).out, file + "|4|here");
  EXPECT_EQ(dispatched({"sum", "--set", "lora.rank=8", file, "--set", "output=a,b"}).out, file + "|8|a,b");
  EXPECT_EQ(dispatched({"sum", file, "--set=lora.rank=8", "--set", "lora.rank=9"}).out, file + "|9|here");
  EXPECT_EQ(dispatched({"sum"}).out, "|16|runs/train");
  EXPECT_EQ(dispatched({"sum", file, "another.yaml"}).status, 2);
  EXPECT_TRUE(holds(dispatched({"sum", "--help"}).out, "lora.use_rslora"));
  std::remove(file.c_str());
}

}  // namespace
}  // namespace lethe
