#include "data/loader.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/permutation.h"
#include "data/unigram.h"
#include "engine/error.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

std::vector<uint64_t> order(uint64_t size, uint64_t seed, uint64_t epoch) {
  const KeyedPermutation permutation(size, seed, epoch);
  std::vector<uint64_t> places;
  for (uint64_t i = 0; i < size; ++i) places.push_back(permutation(i));
  return places;
}

// A shard of one document whose row r, of `length` tokens, begins with id r.
std::shared_ptr<const Rows> numbered_rows(const Folder& folder, int32_t count, int64_t length,
                                          const std::string& name) {
  std::vector<int32_t> ids;
  for (int32_t row = 0; row < count; ++row) ids.insert(ids.end(), length, row);
  return make_rows(shard_of(folder, {ids}, 70000, name), {.tokens_per_row = length});
}

void expect_same(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.positions, b.positions);
  EXPECT_EQ(a.document_start, b.document_start);
  EXPECT_EQ(a.valid_targets, b.valid_targets);
}

TEST(KeyedPermutation, IsABijectionThatDiffersByEpochAndSeed) {
  for (const uint64_t size : {0, 1, 2, 7, 1000, 65537}) {
    std::vector<uint64_t> places = order(size, 5, 0);
    if (size >= 7) {
      EXPECT_NE(places, order(size, 5, 1));
      EXPECT_NE(places, order(size, 6, 0));
      EXPECT_EQ(places, order(size, 5, 0));
    }
    std::sort(places.begin(), places.end());
    std::vector<uint64_t> all(size);
    std::iota(all.begin(), all.end(), uint64_t{0});
    EXPECT_EQ(places, all) << size;
  }
}

TEST(KeyedPermutation, SendsAnElementEverywhereEquallyOften) {
  // 8 places, 8000 epochs: 1000 each, standard deviation 29.6; 5 of them allowed.
  std::vector<int> hits(8);
  for (uint64_t epoch = 0; epoch < 8000; ++epoch) ++hits[KeyedPermutation(8, 1, epoch)(3)];
  for (const int count : hits) EXPECT_NEAR(count, 1000, 148);
}

TEST(KeyedPermutation, WorksAtTheEdgeOfItsRange) {
  const uint64_t size = (uint64_t{1} << 62) + 1;
  const KeyedPermutation permutation(size, 1, 2);
  EXPECT_LT(permutation(size - 1), size);
  EXPECT_NE(permutation(0), permutation(1));
}

TEST(Mixture, DealsExactSharesEverywhere) {
  const Mixture mixture({0.95, 0.05});
  EXPECT_EQ(mixture.count(0, 100), 95u);
  EXPECT_EQ(mixture.count(1, 100), 5u);
  EXPECT_EQ(mixture.count(0, 2000000), 1900000u);
  for (const auto& weights :
       std::vector<std::vector<double>>{{1}, {1, 1}, {0.95, 0.05}, {3, 0, 2, 5}, {1, 2, 0}}) {
    const Mixture mix(weights);
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<uint64_t> dealt(weights.size(), 0);
    for (uint64_t position = 0; position < 3000; ++position) {
      const auto place = mix.at(position);
      EXPECT_EQ(place.index, dealt[place.source]) << position;
      ++dealt[place.source];
      for (size_t source = 0; source < weights.size(); ++source) {
        const double share = static_cast<double>(position + 1) * weights[source] / total;
        ASSERT_NEAR(static_cast<double>(dealt[source]), share, static_cast<double>(weights.size()));
        ASSERT_EQ(mix.count(static_cast<int64_t>(source), position + 1), dealt[source]);
        ASSERT_FALSE(weights[source] == 0.0 && dealt[source] > 0);
      }
    }
  }
}

TEST(Mixture, KnowsItsPlaceFarAway) {
  const Mixture mixture({0.3, 0.3, 0.4});
  const uint64_t far = uint64_t{1} << 60;
  uint64_t sum = 0;
  for (int64_t source = 0; source < 3; ++source) sum += mixture.count(source, far);
  EXPECT_EQ(sum, far);
  const auto place = mixture.at(far);
  EXPECT_EQ(place.index, mixture.count(place.source, far));
  EXPECT_EQ(mixture.count(place.source, far + 1), place.index + 1);
}

TEST(Mixture, RefusesWeightsThatMeanNothing) {
  for (const auto& weights : std::vector<std::vector<double>>{{}, {0, 0}, {1, -1}, {NAN}, {INFINITY, 1}}) {
    EXPECT_EQ(error_of<ConfigError>([&] { Mixture mixture(weights); }).key, "data.weights");
  }
}

TEST(Loader, DealsEveryRowOnceAnEpochAndAnewInTheNext) {
  const Folder folder;
  Loader loader({{numbered_rows(folder, 50, 3, "a")}}, {.seed = 1});
  EXPECT_EQ(loader.rows_per_epoch(), 50);
  std::vector<std::vector<int32_t>> epochs(2);
  for (auto& epoch : epochs) {
    for (int step = 0; step < 10; ++step) {
      const Batch batch = loader.next(5);
      EXPECT_EQ(batch.tokens, 15);
      EXPECT_EQ(batch.padding, 0);
      for (int row = 0; row < 5; ++row) epoch.push_back(batch.ids[row * 3]);
    }
  }
  EXPECT_EQ(loader.position(), 100u);
  EXPECT_NE(epochs[0], epochs[1]);
  for (auto& epoch : epochs) {
    std::sort(epoch.begin(), epoch.end());
    for (int32_t row = 0; row < 50; ++row) EXPECT_EQ(epoch[row], row);
  }
}

TEST(Loader, GoesOnFromAnyPositionAsIfNeverInterrupted) {
  const Folder folder;
  const std::vector<MixtureSource> sources = {{numbered_rows(folder, 40, 4, "a"), 0.95},
                                              {numbered_rows(folder, 7, 4, "b"), 0.05}};
  Loader through(sources, {.seed = 9});
  for (uint64_t step = 0; step < 60; ++step) {
    Loader resumed(sources, {.seed = 9});
    resumed.seek(step * 3);
    expect_same(resumed.next(3), through.next(3));
    EXPECT_EQ(resumed.position(), through.position());
  }
  Loader far(sources, {.seed = 9});
  far.seek(uint64_t{1} << 60);
  EXPECT_EQ(far.next(2).rows, 2);
}

TEST(Loader, DealsInOrderWithoutShuffle) {
  const Folder folder;
  Loader loader({{numbered_rows(folder, 5, 2, "a")}}, {.shuffle = false});
  const Batch batch = loader.next(7);
  std::vector<int32_t> rows;
  for (int row = 0; row < 7; ++row) rows.push_back(batch.ids[row * 2]);
  EXPECT_EQ(rows, (std::vector<int32_t>{0, 1, 2, 3, 4, 0, 1}));
}

TEST(Loader, ShufflesSourcesOfOneSizeApart) {
  const Folder folder;
  const auto rows = numbered_rows(folder, 40, 2, "a");
  const Loader loader({{rows}, {rows}}, {.seed = 3});
  std::vector<int64_t> orders[2];
  for (uint64_t position = 0; position < 80; ++position) {
    const auto origin = loader.origin(position);
    EXPECT_EQ(origin.epoch, 0u);
    orders[origin.source].push_back(origin.row);
  }
  EXPECT_EQ(orders[0].size(), 40u);
  EXPECT_NE(orders[0], orders[1]);
}

TEST(Loader, RefusesABatchWithoutASupervisedTokenAndStays) {
  const Folder folder;
  const std::shared_ptr<const Rows> rows =
      make_rows(shard_of(folder, {{1}, {2}, {3, 4}}), {.tokens_per_row = 2});
  Loader loader({{rows}}, {.shuffle = false});
  const auto error = error_of<DataError>([&] { loader.next(1); });
  EXPECT_EQ(std::string(error.what()),
            "the batch of 1 rows at row 0 of the data order has no supervised token");
  EXPECT_EQ(loader.position(), 0u);
  EXPECT_EQ(loader.next(2).valid_targets, 1);
}

TEST(Loader, RefusesSourcesThatDoNotFitAndBatchesOfNothing) {
  const Folder folder;
  const auto two = numbered_rows(folder, 3, 2, "a"), three = numbered_rows(folder, 3, 3, "b");
  const auto error = error_of<DataError>([&] { Loader({{two}, {three}}, {}); });
  EXPECT_EQ(std::string(error.what()), "data source 1 has rows of 3 tokens, source 0 of 2");
  EXPECT_THROW(Loader({}, {}), ConfigError);
  Loader loader({{two}}, {});
  EXPECT_THROW(loader.next(0), ConfigError);
  EXPECT_THROW(EvaluationLoader(two, 0), ConfigError);
}

TEST(EvaluationLoader, VisitsEveryRowInOrderAndFillsTheLastBatch) {
  const Folder folder;
  const EvaluationLoader loader(numbered_rows(folder, 5, 3, "a"), 2);
  ASSERT_EQ(loader.batches(), 3);
  int64_t targets = 0;
  for (int64_t i = 0; i < 3; ++i) targets += loader.batch(i).valid_targets;
  EXPECT_EQ(targets, 14);  // 15 tokens of one document
  const Batch last = loader.batch(2);
  EXPECT_EQ(last.rows, 2);
  EXPECT_EQ(last.tokens, 3);
  EXPECT_EQ(last.padding, 3);
  EXPECT_EQ(last.ids, (std::vector<int32_t>{4, 4, 4, 0, 0, 0}));
  EXPECT_EQ(last.labels, (std::vector<int32_t>{4, 4, -100, -100, -100, -100}));
  EXPECT_EQ(last.document_start, (std::vector<int32_t>{0, 0, 0, 0, 0, 0}));
}

TEST(Unigram, EntropyIsThatOfTheFrequencies) {
  const Folder folder;
  const auto shard = shard_of(folder, {{0, 0, 1}, {2}}, 4);
  // p = 1/2, 1/4, 1/4; sums of three doubles, so a few units in the last place.
  EXPECT_NEAR(unigram_entropy(*shard), 1.5 * std::log(2.0), 1e-15);
  const auto held_out = shard_of(folder, {{0, 3}}, 4, "h");
  // Add-one: p(0) = 3/8, p(3) = 1/8.
  EXPECT_NEAR(unigram_cross_entropy(*shard, *held_out), -(std::log(3.0 / 8) + std::log(1.0 / 8)) / 2, 1e-15);
  EXPECT_THROW(unigram_entropy(*shard_of(folder, {}, 4, "e")), DataError);
}

}  // namespace
}  // namespace lethe
