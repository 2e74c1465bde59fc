#include "engine/comm/watch.h"

#include <fmt/format.h>

#include <sstream>

#include "engine/error.h"

namespace lethe {
namespace {

constexpr std::chrono::milliseconds kPause(100);
constexpr const char* kEnd = "watch/end";

std::string key_of(int rank) {
  return fmt::format("watch/{}", rank);
}

double seconds_since(Deadline then) {
  return Seconds(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

Watch::Watch(std::shared_ptr<Store> store, int rank, int world, Seconds hang, End end)
    : store_(std::move(store)),
      rank_(rank),
      world_(world),
      hang_(hang),
      end_(std::move(end)),
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
      if (rank_ == 0) look();
      if (rank_ != 0 && is_told_to_end()) return end_("");
      std::this_thread::sleep_for(kPause);
    }
    store_->set(key_of(rank_), "done");
  } catch (const CommError& e) {
    // Rank 0 may have ended well, and this rank be about to.
    for (int i = 0; i < 10 && !stop_; ++i) std::this_thread::sleep_for(kPause);
    if (!stop_) end_(rank_ <= 1 ? fmt::format("rank 0 of {} was lost: {}", world_, e.what()) : "");
  }
}

void Watch::tell() {
  store_->set(key_of(rank_), fmt::format("{} {} {}", ++words_, step_.load(), host_name()));
}

bool Watch::is_told_to_end() {
  return store_->get(kEnd).has_value();
}

void Watch::look() {
  int culprit = -1;
  std::string why;
  for (int r = 0; r < world_; ++r) {
    const std::string text = store_->get(key_of(r)).value_or("");
    const auto [at, fresh] = seen_.try_emplace(r, Seen{text, "?", "0", std::chrono::steady_clock::now()});
    Seen& seen = at->second;
    if (text == "done") {
      seen.text = text;
      continue;
    }
    if (fresh || text != seen.text) {
      std::string word, step, host;
      std::istringstream(text) >> word >> step >> host;
      if (step != seen.step) moved_ = std::chrono::steady_clock::now();
      seen = {text, host, step, std::chrono::steady_clock::now()};
    }
    if (culprit >= 0) continue;
    if (store_->get(Store::lost_key(r))) {
      culprit = r;
      why = "died";
    } else if (hang_.count() > 0 && seconds_since(seen.heard) > hang_.count()) {
      culprit = r;
      why = fmt::format("has said nothing for {:.1f} s", seconds_since(seen.heard));
    }
  }
  const bool stands = hang_.count() > 0 && seconds_since(moved_) > hang_.count();
  if (culprit < 0 && !stands) return;
  store_->set(kEnd, "1");
  end_(table(culprit, culprit >= 0 ? why : fmt::format("no rank began a step for {:g} s", hang_.count())));
}

std::string Watch::table(int culprit, const std::string& why) const {
  std::string text = "the run ends\n  rank  step      heard before  host";
  for (const auto& [rank, seen] : seen_) {
    text += fmt::format("\n  {:>4}  {:<8}  {:>10.1f} s  {}", rank, seen.step, seconds_since(seen.heard),
                        seen.host);
  }
  return text + "\n" + (culprit < 0 ? why : fmt::format("rank {} of {} {}", culprit, world_, why));
}

}  // namespace lethe
