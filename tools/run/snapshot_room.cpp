#include "tools/run/snapshot_room.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/log.h"
#include "tools/doctor/machine.h"

namespace lethe {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// Why a rank's own budget leaves no room; empty: it does.
std::string beyond_budget(const TrainOptions& options, const Session& session, int64_t bytes) {
  const auto budget = static_cast<int64_t>(options.memory_budget_gb * 1e9);
  if (session.backend().device().kind != DeviceKind::cpu || budget <= 0) return "";
  const int64_t arena = session.plan().arena_bytes;
  if (arena + bytes <= budget) return "";
  return fmt::format("{} bytes beside the plan's {} are beyond memory_budget_gb, {}", bytes, arena, budget);
}

// Why the ranks of one host find no room; empty: they do.
std::string beyond_host(const std::vector<std::string>& ranks) {
  struct Host {
    int64_t bytes = 0, available = 0;
  };
  std::map<std::string, Host> hosts;
  for (const std::string& text : ranks) {
    const auto rank = nlohmann::json::parse(text);
    if (const std::string why = rank.at("beyond_budget"); !why.empty()) return why;
    Host& host = hosts[rank.at("host")];
    host.bytes += rank.at("bytes").get<int64_t>();
    host.available = rank.at("available");
  }
  for (const auto& [name, host] : hosts) {
    if (host.available <= 0 || host.bytes <= host.available / 10 * 9) continue;
    return fmt::format("{} bytes do not fit nine tenths of the {} that are available on {}", host.bytes,
                       host.available, name);
  }
  return "";
}

}  // namespace

bool asks_for_snapshot(const TrainOptions& options, int64_t steps) {
  const int64_t every = options.train.save_every;
  return options.train.checkpoint_async != "false" && every > 0 && (steps < 0 || every < steps);
}

bool has_room_for_snapshot(const TrainOptions& options, const Session& session, int64_t bytes, Comm& comm) {
  const nlohmann::json own = {{"host", host_name()},
                              {"bytes", bytes},
                              {"available", find_memory().available},
                              {"beyond_budget", beyond_budget(options, session, bytes)}};
  const std::string why = beyond_host(gather_texts(comm, own.dump()));
  if (why.empty()) return true;
  if (options.train.checkpoint_async == "true") {
    throw MemoryError("train.checkpoint_async", "the snapshot has no room: " + why);
  }
  log::info("checkpoints are written while training waits: a snapshot has no room, " + why);
  return false;
}

}  // namespace lethe
