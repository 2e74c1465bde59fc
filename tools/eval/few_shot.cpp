#include "tools/eval/few_shot.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"
#include "tools/eval/gauntlet.h"
#include "tools/eval/python_random.h"

namespace lethe::eval {
namespace {

[[noreturn]] void refuse(const Documents& pool, int64_t asked) {
  throw DataError(fmt::format("{}: has {} documents, too few to draw {}", pool.file(), pool.size(), asked));
}

// The first of the document's own group.
std::vector<int64_t> first_of(const ChoiceTask& task, const Documents& documents, size_t document,
                              const Documents& pool, int64_t shots) {
  std::vector<int64_t> found;
  for (size_t p = 0; p < pool.size() && std::ssize(found) < shots; ++p) {
    const bool same = task.group_key.empty() || pool.at(p).at(task.group_key).value() ==
                                                    documents.at(document).at(task.group_key).value();
    if (same) found.push_back(static_cast<int64_t>(p));
  }
  if (std::ssize(found) < shots) refuse(pool, shots);
  return found;
}

}  // namespace

std::vector<std::vector<int64_t>> draw_shots(const ChoiceTask& task, const Documents& documents,
                                             const Documents& pool, int64_t shots, uint64_t seed) {
  std::vector<std::vector<int64_t>> drawn(documents.size());
  if (shots == 0) return drawn;
  if (task.gauntlet)
    return draw_gauntlet_shots(std::ssize(drawn), static_cast<int64_t>(pool.size()), shots, seed);
  const int64_t asked = shots + (task.draws_spare ? 1 : 0);
  if (asked > static_cast<int64_t>(pool.size())) refuse(pool, asked);
  PythonRandom random(seed);
  for (size_t d = 0; d < documents.size(); ++d) {
    if (task.first_shots) {
      drawn[d] = first_of(task, documents, d, pool, shots);
      continue;
    }
    drawn[d] = random.sample(static_cast<int64_t>(pool.size()), asked);
    if (!task.draws_spare) continue;
    std::erase_if(drawn[d],
                  [&](int64_t p) { return pool.record(static_cast<size_t>(p)) == documents.record(d); });
    drawn[d].resize(std::min(drawn[d].size(), static_cast<size_t>(shots)));
  }
  return drawn;
}

}  // namespace lethe::eval
