#include "tools/eval/open_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "tools/eval/choice_run.h"
#include "tools/eval/tasks/tasks.h"
#include "tools/eval/text_run.h"
#include "tools/options/nearest.h"

namespace lethe::eval {
namespace {

std::unique_ptr<ScoredRun> open_gauntlet_task(const std::string& name, const RunOptions& options) {
  std::vector<std::string> names;
  for (const ChoiceTask& t : gauntlet_tasks()) {
    if (t.name == name) return std::make_unique<ChoiceRun>(t, options);
    names.push_back(t.name);
  }
  throw RequestError(
      fmt::format("the protocol gauntlet has no task {}; it has {}", name, fmt::join(names, ", ")));
}

std::unique_ptr<ScoredRun> open_task(const std::string& name, const RunOptions& options) {
  std::vector<std::string> names;
  for (const ChoiceTask& t : choice_tasks()) {
    if (t.name == name) return std::make_unique<ChoiceRun>(t, options);
    names.push_back(t.name);
  }
  for (const TextTask& t : text_tasks()) {
    if (t.name == name) return std::make_unique<TextRun>(t, options);
    names.push_back(t.name);
  }
  for (const GenerationTask& t : generation_tasks()) names.push_back(t.name);
  throw RequestError(fmt::format("there is no task {}; did you mean {}?", name, nearest(name, names)));
}

const GenerationTask* written_task(const std::string& name) {
  const auto found = std::ranges::find(generation_tasks(), name, &GenerationTask::name);
  return found == generation_tasks().end() ? nullptr : &*found;
}

}  // namespace

Runs open_scored_tasks(const std::string& protocol, const std::vector<std::string>& names,
                       const RunOptions& options) {
  Runs runs;
  for (const std::string& name : names) {
    if (protocol == "gauntlet") {
      runs.push_back(open_gauntlet_task(name, options));
    } else if (written_task(name) == nullptr) {
      runs.push_back(open_task(name, options));
    }
  }
  return runs;
}

WrittenRuns open_written_tasks(const std::string& protocol, const std::vector<std::string>& names,
                               const RunOptions& options, const GenerationOptions& generation) {
  WrittenRuns runs;
  if (protocol == "gauntlet") return runs;
  for (const std::string& name : names) {
    const GenerationTask* task = written_task(name);
    if (task == nullptr) continue;
    if (task->runs_programs && generation.python.sandboxed) {
      if (const std::string why = sandbox_refusal(); !why.empty()) {
        throw RequestError(
            fmt::format("{} runs programs that the model writes, and this kernel gives no sandbox to run "
                        "them in ({}); lethe eval --unsafe-exec runs them with your rights",
                        name, why));
      }
    }
    runs.push_back(std::make_unique<GenerationRun>(*task, options, generation));
  }
  return runs;
}

PassLimits size_of_pass(const Runs& runs, int64_t tokens, int64_t requests_at_once, bool branches) {
  int64_t longest = 1, most_wanted = 1;
  for (const auto& run : runs) {
    for (const ScoreRequest& r : run->requests()) {
      longest = std::max<int64_t>(longest, std::ssize(r.input));
      most_wanted = std::max<int64_t>(most_wanted, std::ssize(r.targets));
    }
  }
  const auto up = [](int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; };
  tokens = std::max(longest, tokens);
  if (requests_at_once > 0) tokens = std::min(tokens, requests_at_once * longest);
  int64_t all = 0;
  double share = 0;
  for (const auto& run : runs) {
    double computed = 0, wanted = 0;
    for (const Group& group : group_requests(run->requests(), {tokens, tokens, requests_at_once}, branches)) {
      computed += static_cast<double>(group.tokens);
      wanted += static_cast<double>(group.wanted);
    }
    all = std::max(all, static_cast<int64_t>(computed));
    if (computed > 0) share = std::max(share, wanted / computed);
  }
  tokens = up(std::max(longest, std::min(tokens, all)), 64);
  const auto wanted = static_cast<int64_t>(1.25 * share * static_cast<double>(tokens));
  return {tokens, up(std::max(most_wanted, wanted), 16)};
}

}  // namespace lethe::eval
