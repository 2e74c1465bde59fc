#include "engine/comm/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace lethe {
namespace {

constexpr std::chrono::milliseconds kPause(100);
// What one rank meets takes others with it: so long the cause may still come to light.
constexpr Seconds kGrace(0.3);
// Weight of a step among those before it, of which the last dozen counts.
constexpr double kNews = 0.1;
constexpr const char* kEnd = "watch/end";

std::string key_of(int rank) {
  return fmt::format("watch/{}", rank);
}

std::string failure_key_of(int rank) {
  return fmt::format("watch/failed/{}", rank);
}

double seconds_since(Deadline then) {
  return Seconds(std::chrono::steady_clock::now() - then).count();
}

// What is left of a line behind the words that were read.
std::string rest_of(std::istringstream& line) {
  std::string text;
  std::getline(line >> std::ws, text, '\0');
  return text;
}

}  // namespace

Watch::Watch(std::shared_ptr<Store> store, int rank, int world, Seconds hang,
             std::shared_ptr<const Position> position, Calls calls)
    : store_(std::move(store)),
      rank_(rank),
      world_(world),
      hang_(hang),
      position_(std::move(position)),
      calls_(std::move(calls)),
      moved_(std::chrono::steady_clock::now()),
      thread_([this] { run(); }) {}

Watch::~Watch() {
  stop_ = true;
  thread_.join();
}

void Watch::run() {
  try {
    while (!stop_) {
      tell();
      if (rank_ == 0 && look()) return;
      if (const auto told = rank_ == 0 ? std::nullopt : store_->get(kEnd))
        return calls_.end(std::stoi(*told));
      std::this_thread::sleep_for(kPause);
    }
    store_->set(key_of(rank_), "done");
  } catch (const CommError& e) {
    // Rank 0 may have ended well, and this rank be about to.
    for (int i = 0; i < 10 && !stop_; ++i) std::this_thread::sleep_for(kPause);
    if (stop_) return;
    if (rank_ <= 1) calls_.say(fmt::format("rank 0 of {} was lost: {}", world_, e.what()));
    calls_.end(kRankLost);
  }
}

void Watch::tell() {
  const Position::Place place = position_ ? position_->place() : Position::Place{};
  store_->set(key_of(rank_), fmt::format("{} {} {} {:d} {:.6g} {}", ++words_, step_.load(), host_name(),
                                         place.in_sum, work_.load(), place.text));
}

void Watch::worked(double seconds) {
  const double before = work_;
  work_ = before > 0 ? before + kNews * (seconds - before) : seconds;
}

void Watch::fail(const RankFailure& failure, Seconds patience) {
  try {
    store_->set(failure_key_of(rank_),
                fmt::format("{} {:d} {}", failure.status, failure.consequence, failure.text));
  } catch (const CommError&) {
    return;
  }
  std::this_thread::sleep_for(patience);
}

bool Watch::look() {
  for (int r = 0; r < world_; ++r) hear(r);
  const Verdict verdict = judge();
  if (verdict.text.empty()) return false;
  calls_.say("the run ends\n" + table() + "\n" + verdict.text);
  store_->set(kEnd, std::to_string(verdict.status));
  std::this_thread::sleep_for(5 * kPause);  // the others hear it from this rank's store
  calls_.end(verdict.status);
  return true;
}

void Watch::hear(int rank) {
  const std::string text = store_->get(key_of(rank)).value_or("");
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  Seen& seen = seen_.try_emplace(rank, Seen{.heard = now}).first->second;
  if (text == seen.text) return;
  seen.text = text;
  seen.done = text == "done";
  if (seen.done) return;
  std::istringstream line(text);
  std::string word, step;
  line >> word >> step >> seen.host >> seen.in_sum >> seen.work;
  if (step != seen.step) moved_ = now;
  seen.step = step;
  seen.node = rest_of(line);
  seen.heard = now;
}

Watch::Verdict Watch::judge() {
  if (Verdict failed = reported_failure(false); !failed.text.empty()) return failed;
  Verdict lost = lost_rank();
  if (lost.text.empty()) lost = reported_failure(true);
  if (!lost.text.empty()) {
    if (!troubled_) troubled_ = std::chrono::steady_clock::now();
    return seconds_since(*troubled_) > kGrace.count() ? lost : Verdict{};
  }
  return hang_.count() > 0 ? standstill() : Verdict{};
}

Watch::Verdict Watch::reported_failure(bool consequence) const {
  for (int r = 0; r < world_; ++r) {
    std::istringstream line(store_->get(failure_key_of(r)).value_or(""));
    int status = 0;
    bool of_another = false;
    if (line >> status >> of_another && of_another == consequence)
      return {fmt::format("rank {} of {}: {}", r, world_, rest_of(line)), status};
  }
  return {};
}

Watch::Verdict Watch::lost_rank() const {
  for (const auto& [rank, seen] : seen_) {
    if (!seen.done && store_->get(Store::lost_key(rank)))
      return {fmt::format("rank {} of {} died", rank, world_), kRankLost};
  }
  return {};
}

Watch::Verdict Watch::standstill() const {
  for (const auto& [rank, seen] : seen_) {
    const double silent = seconds_since(seen.heard);
    if (!seen.done && silent > hang_.count()) {
      return {fmt::format("rank {} of {} has said nothing for {:.1f} s", rank, world_, silent), kRankLost};
    }
  }
  if (seconds_since(moved_) <= hang_.count()) return {};
  std::string waited_for;
  for (const auto& [rank, seen] : seen_) {
    if (!seen.in_sum) waited_for += fmt::format("{}rank {}", waited_for.empty() ? "" : ", ", rank);
  }
  const bool some_wait = std::ranges::any_of(seen_, [](const auto& s) { return s.second.in_sum; });
  return {fmt::format("no rank began a step for {:g} s{}", hang_.count(),
                      some_wait && !waited_for.empty() ? "; the others wait for " + waited_for : ""),
          kRankLost};
}

std::string Watch::table() const {
  const std::lock_guard lock(mutex_);
  size_t width = 4;
  for (const auto& [rank, seen] : seen_) width = std::max(width, seen.host.size());
  std::string text = fmt::format("  rank  step      heard before  {:<{}}  node", "host", width);
  for (const auto& [rank, seen] : seen_) {
    text += fmt::format("\n  {:>4}  {:<8}  {:>10.1f} s  {:<{}}  {}", rank, seen.step,
                        seconds_since(seen.heard), seen.host, width, seen.node.empty() ? "-" : seen.node);
  }
  return text;
}

std::optional<Watch::Slowest> Watch::slowest() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<double, int>> times;
  for (const auto& [rank, seen] : seen_) {
    if (seen.work > 0) times.emplace_back(seen.work, rank);
  }
  if (static_cast<int>(times.size()) < world_ || world_ < 2) return std::nullopt;
  std::ranges::sort(times);
  const auto [longest, rank] = times.back();
  const size_t others = times.size() - 1;
  const double median = (times[(others - 1) / 2].first + times[others / 2].first) / 2;
  if (longest <= (1 + kNotable) * median) return std::nullopt;
  return Slowest{rank, longest / median - 1};
}

}  // namespace lethe
