#include "tools/run/ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace lethe {
namespace {

// Short enough for a table.
std::string shown(const std::string& text) {
  constexpr size_t most = 60;
  return text.size() <= most ? text : text.substr(0, most) + "...";
}

}  // namespace

void together(Comm& comm, const std::function<void()>& work) {
  if (comm.world() == 1) return work();
  std::string failure;  // the status, then the message
  try {
    work();
  } catch (const RequestError& e) {
    failure = std::string("2") + e.what();
  } catch (const std::exception& e) {
    failure = std::string("1") + e.what();
  }
  const std::vector<std::string> all = gather_texts(comm, failure);
  const auto first = std::ranges::find_if(all, [](const std::string& f) { return !f.empty(); });
  if (first == all.end()) return;
  const bool same = std::ranges::all_of(all, [&](const std::string& f) { return f == *first; });
  const std::string who = same ? "" : fmt::format("rank {} of {}: ", first - all.begin(), comm.world());
  throw SharedFailure{(*first)[0] - '0', who + first->substr(1)};
}

bool on_any_rank(Comm& comm, bool value) {
  int64_t count = value ? 1 : 0;
  comm.all_reduce(&count, DType::i64, 1);
  return count > 0;
}

std::string who_diverged(Comm& comm, const std::string& text, double own_loss) {
  const std::vector<std::string> losses =
      gather_texts(comm, std::isfinite(own_loss) ? "" : fmt::format("{}", own_loss));
  const auto first = std::ranges::find_if(losses, [](const std::string& l) { return !l.empty(); });
  if (first == losses.end()) return text + "; each rank's own part of the loss was finite";
  return fmt::format("rank {} of {}: {}; its own part of the loss was {}", first - losses.begin(),
                     comm.world(), text, *first);
}

void require_same(Comm& comm, const Facts& facts) {
  const std::vector<std::string> all = gather_texts(comm, nlohmann::json(facts).dump());
  const auto expected = nlohmann::json::parse(all[0]).get<Facts>();
  std::string table;
  for (size_t r = 1; r < all.size(); ++r) {
    const auto found = nlohmann::json::parse(all[r]).get<Facts>();
    for (size_t i = 0; i < std::max(found.size(), expected.size()); ++i) {
      const auto at = [&](const Facts& list) {
        return i < list.size() ? list[i] : std::pair<std::string, std::string>("nothing", "");
      };
      const auto [key, value] = at(found);
      if (at(expected) == std::pair(key, value)) continue;
      table += fmt::format("\n  {:>4}  {:<24}  {}  (rank 0: {})", r, key, shown(value),
                           shown(at(expected).second));
    }
  }
  if (table.empty()) return;
  throw SharedFailure{
      2, fmt::format("the ranks were not asked for the same run\n  rank  {:<24}  value{}", "key", table)};
}

Share share_of(int64_t micro_batches, int rank, int world) {
  if (micro_batches < world) {
    throw ConfigError("train.micro_batch_size",
                      fmt::format("a step of {} micro-batches (train.batch_size over it) is too few for {} "
                                  "processes, which take at least one each",
                                  micro_batches, world));
  }
  const int64_t first = micro_batches * rank / world;
  return {first, micro_batches * (rank + 1) / world - first};
}

}  // namespace lethe
