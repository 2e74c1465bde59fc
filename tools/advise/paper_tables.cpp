#include "tools/advise/paper_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/error.h"

namespace lethe::advise {
namespace {

// Rows r16, r64, r256, full.
struct PaperTable {
  const char* name;
  double base;
  std::vector<double> durations;
  std::vector<std::vector<double>> rows;
};

constexpr double kForgettingBase = .671;

const std::vector<double>& billions() {
  static const std::vector<double> all{.25, .5, 1, 2, 4, 8, 16, 20};
  return all;
}
const std::vector<double>& epochs() {
  static const std::vector<double> all{1, 2, 4, 8, 16};
  return all;
}

const PaperTable& table_of(Kind kind, Domain domain, bool learning) {
  static const std::vector<PaperTable> tables{{"S1",
                                               .138,
                                               billions(),
                                               {{.143, .144, .141, .141, .154, .159, .162, .162},
                                                {.142, .146, .141, .153, .157, .176, .194, .196},
                                                {.144, .142, .143, .159, .159, .208, .211, .224},
                                                {.152, .153, .172, .181, .218, .258, .255, .263}}},
                                              {"S2",
                                               kForgettingBase,
                                               billions(),
                                               {{.645, .642, .645, .642, .644, .640, .638, .635},
                                                {.646, .644, .646, .646, .639, .634, .626, .626},
                                                {.644, .645, .643, .639, .636, .630, .618, .617},
                                                {.625, .624, .625, .616, .599, .583, .551, .545}}},
                                              {"S3",
                                               .145,
                                               billions(),
                                               {{.162, .157, .161, .155, .165, .156, .152, .158},
                                                {.163, .167, .150, .166, .164, .168, .179, .163},
                                                {.162, .161, .140, .170, .193, .196, .203, .202},
                                                {.155, .152, .165, .158, .224, .238, .283, .293}}},
                                              {"S4",
                                               kForgettingBase,
                                               billions(),
                                               {{.640, .641, .646, .641, .643, .641, .636, .637},
                                                {.640, .640, .638, .637, .643, .634, .634, .627},
                                                {.638, .638, .637, .634, .633, .620, .620, .616},
                                                {.634, .634, .640, .630, .629, .619, .613, .618}}},
                                              {"S5",
                                               .138,
                                               epochs(),
                                               {{.197, .275, .358, .338, .324},
                                                {.249, .339, .417, .392, .405},
                                                {.299, .385, .498, .437, .466},
                                                {.302, .464, .470, .497, .416}}},
                                              {"S6",
                                               kForgettingBase,
                                               epochs(),
                                               {{.653, .648, .652, .646, .609},
                                                {.652, .651, .632, .580, .510},
                                                {.655, .659, .631, .552, .517},
                                                {.595, .579, .512, .446, .414}}},
                                              {"S7",
                                               .145,
                                               epochs(),
                                               {{.447, .528, .580, .578, .569},
                                                {.527, .588, .624, .624, .595},
                                                {.557, .607, .625, .634, .594},
                                                {.604, .641, .642, .619, .599}}},
                                              {"S8",
                                               kForgettingBase,
                                               epochs(),
                                               {{.628, .617, .616, .616, .596},
                                                {.617, .609, .608, .586, .568},
                                                {.613, .607, .599, .584, .567},
                                                {.598, .599, .590, .572, .559}}}};
  const size_t place =
      (kind == Kind::instructions ? 4u : 0u) + (domain == Domain::math ? 2u : 0u) + (learning ? 0u : 1u);
  return tables[place];
}

size_t row_of(int64_t rank) {
  switch (rank) {
    case 16:
      return 0;
    case 64:
      return 1;
    case 256:
      return 2;
    case 0:
      return 3;
    default:
      throw RequestError(fmt::format("the paper has ranks 16, 64 and 256, not {}", rank));
  }
}

double read(const PaperTable& table, int64_t rank, double duration) {
  const std::vector<double>&at = table.durations, &row = table.rows[row_of(rank)];
  const auto after = std::lower_bound(at.begin(), at.end(), duration);
  const auto high = static_cast<size_t>(after - at.begin());
  if (high == 0) return row.front();
  if (high == at.size()) return row.back();
  const double share = std::log(duration / at[high - 1]) / std::log(at[high] / at[high - 1]);
  return row[high - 1] + share * (row[high] - row[high - 1]);
}

}  // namespace

Measured measured_in_paper(Kind kind, Domain domain, int64_t rank, double duration) {
  if (!(duration > 0) || !std::isfinite(duration))
    throw RequestError(fmt::format("a duration of {} is not above 0", duration));
  const PaperTable &learning = table_of(kind, domain, true), &forgetting = table_of(kind, domain, false);
  Measured found{.duration = std::clamp(duration, learning.durations.front(), learning.durations.back()),
                 .tables = fmt::format("{}, {}", learning.name, forgetting.name)};
  found.clamped = found.duration != duration;
  const auto points = [&](const PaperTable& table, int64_t of, double sign) {
    return 100 * sign * (read(table, of, found.duration) - table.base);
  };
  found.learned = points(learning, rank, 1);
  found.forgotten = points(forgetting, rank, -1);
  found.full_learned = points(learning, 0, 1);
  found.full_forgotten = points(forgetting, 0, -1);
  return found;
}

int64_t best_epochs(Domain domain, int64_t rank) {
  const PaperTable& table = table_of(Kind::instructions, domain, true);
  const std::vector<double>& row = table.rows[row_of(rank)];
  const auto best = std::max_element(row.begin(), row.end());
  return static_cast<int64_t>(table.durations[static_cast<size_t>(best - row.begin())]);
}

}  // namespace lethe::advise
