// Log-likelihoods of packed requests against each request in a program of its own.
#include "tools/eval/scorer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/error.h"
#include "engine/rng.h"
#include "engine/trainer.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

using namespace eval;

// Of unequal lengths; the last three share one input, the second of them asks for less of it.
std::vector<ScoreRequest> some_requests(int64_t vocab_size) {
  const Rng rng(11, stream_of("requests"));
  uint64_t at = 0;
  const auto draw = [&](int64_t count) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(at++, static_cast<uint64_t>(vocab_size)));
    return ids;
  };
  std::vector<ScoreRequest> made;
  for (const auto& [length, targets] :
       {std::pair<int64_t, int64_t>{5, 2}, {1, 1}, {31, 7}, {2, 2}, {12, 1}, {30, 30}, {9, 4}})
    made.push_back({draw(length), draw(targets)});
  for (const int64_t targets : {3, 1, 3}) made.push_back({made[6].input, draw(targets)});
  return made;
}

// The scorer's session over a fresh tiny model.
struct Scoring {
  std::unique_ptr<Session> session;
  std::optional<Transformer> model;
  std::optional<Scorer> scorer;

  Scoring(const ProgramSpec& spec, const PassLimits& size) {
    auto state = std::make_unique<State>();
    declare_inputs(*state, spec.config, 1, size.tokens, spec.precision);
    declare_scoring_inputs(*state, size);
    model.emplace(*state, spec.config, spec.precision, spec.lora, false);
    std::vector<std::unique_ptr<Tape>> tapes;
    auto programs = record_scoring(*state, *model, size, tapes);
    session = std::make_unique<Session>(std::move(state), std::move(tapes), make_cpu_backend({.threads = 2}));
    fill_rope_table(*session, spec.config);
    initialise_weights(*session, spec.config, 1);
    scorer.emplace(*session, std::move(programs), can_branch(spec.config));
  }

  std::vector<Score> run(const std::vector<ScoreRequest>& requests, int64_t at_once = 0) {
    std::vector<Score> scores(requests.size());
    std::vector<int> told(requests.size());
    scorer->run(requests, at_once, [&](size_t r, const Score& score) {
      scores[r] = score;
      ++told[r];
    });
    EXPECT_EQ(told, std::vector<int>(requests.size(), 1));
    return scores;
  }
};

// Whole logits of the request alone.
Score alone(const ProgramSpec& of, const ScoreRequest& request) {
  ProgramSpec spec = of;
  spec.rows = 1;
  spec.tokens = std::ssize(request.input);
  spec.optimizer.reset();
  TinyRun run(spec, 1, true);
  const size_t n = request.input.size(), first = n - request.targets.size();
  std::vector<int32_t> labels(n, -100), positions(n), start(n, 0);
  for (size_t i = 0; i < n; ++i) positions[i] = static_cast<int32_t>(i);
  std::ranges::copy(request.targets, labels.begin() + static_cast<std::ptrdiff_t>(first));
  set_batch(*run.session, {request.input, labels, positions, start, 0, std::ssize(request.targets)});
  run.session->run(run.programs.evaluate);
  const Buffer logits = run.session->buffer(run.programs.evaluate, run.programs.logits);
  Score score;
  for (size_t i = first; i < n; ++i) {
    const double* x = logits.as<double>().row(static_cast<int64_t>(i));
    double sum = 0;
    for (int64_t j = 0; j < logits.width; ++j) sum += std::exp(x[j]);
    score.log_likelihood += x[labels[i]] - std::log(sum);
    score.greedy = score.greedy && std::max_element(x, x + logits.width) - x == labels[i];
  }
  return score;
}

// Thirty targets of some ten roundings each, in double.
constexpr double kTolerance = 1e-12;

TEST(Scorer, PackedRequestsScoreAsEachAlone) {
  const ProgramSpec spec = tiny_spec(DType::f64);
  const std::vector<ScoreRequest> requests = some_requests(spec.config.vocab_size);
  std::vector<Score> expected;
  for (const ScoreRequest& r : requests) expected.push_back(alone(spec, r));
  for (const PassLimits& size : {PassLimits{64, 64}, PassLimits{64, 32}, PassLimits{48, 30}}) {
    Scoring scoring(spec, size);
    for (const int64_t at_once : {0, 1, 7, 64}) {
      const std::vector<Score> got = scoring.run(requests, at_once);
      for (size_t r = 0; r < requests.size(); ++r) {
        EXPECT_NEAR(got[r].log_likelihood, expected[r].log_likelihood, kTolerance) << r;
        EXPECT_EQ(got[r].greedy, expected[r].greedy) << r;
      }
    }
  }
}

// A model says what it finds most probable; asked for that, it calls it greedy.
TEST(Scorer, KnowsWhatIsGreedy) {
  const ProgramSpec spec = tiny_spec(DType::f64);
  ScoreRequest request{{3, 1, 4, 1, 5}, {0}};
  int greedy = 0;
  Scoring scoring(spec, {64, 32});
  for (int32_t id = 0; id < spec.config.vocab_size; ++id) {
    request.targets = {id};
    const Score got = scoring.run({request})[0];
    EXPECT_EQ(got.greedy, alone(spec, request).greedy);
    greedy += got.greedy ? 1 : 0;
  }
  EXPECT_EQ(greedy, 1);
}

TEST(Scorer, RefusesWhatFitsInNoPass) {
  Scoring scoring(tiny_spec(DType::f64), {64, 16});
  EXPECT_THROW(scoring.run({{std::vector<int32_t>(65, 1), {2}}}), DataError);
  EXPECT_THROW(scoring.run({{std::vector<int32_t>(20, 1), std::vector<int32_t>(17, 1)}}), DataError);
}

ScoreRequest asking(std::vector<int32_t> input, int64_t targets) {
  return {std::move(input), std::vector<int32_t>(static_cast<size_t>(targets), 1)};
}

TEST(Packing, FillsPassesTheMostTokensFirst) {
  const auto request = [](int64_t length, int32_t id) {
    return asking(std::vector<int32_t>(static_cast<size_t>(length), id), 1);
  };
  // Equal inputs cost their tokens once, so the pass that begins with 5 holds 5 + 3.
  const std::vector<ScoreRequest> requests{request(3, 1), request(5, 2), request(5, 2), request(2, 4),
                                           request(7, 3)};
  const auto numbers = [&](const PassLimits& limits) {
    std::vector<std::vector<size_t>> found;
    for (const auto& pass : plan_passes(group_requests(requests, limits, true), limits)) {
      found.emplace_back();
      for (const Group& group : pass)
        found.back().insert(found.back().end(), group.requests.begin(), group.requests.end());
    }
    return found;
  };
  EXPECT_EQ(numbers({8, 8, 0}), (std::vector<std::vector<size_t>>{{4}, {1, 2, 0}, {3}}));
  EXPECT_EQ(numbers({8, 2, 0}), (std::vector<std::vector<size_t>>{{4}, {1, 2}, {0, 3}}));
  EXPECT_EQ(numbers({8, 8, 1}).size(), 5u);
  const PassLimits limits{8, 8, 0};
  const PackedPass packed = pack(requests, plan_passes(group_requests(requests, limits, true), limits)[1]);
  EXPECT_EQ(packed.ids, (std::vector<int32_t>{2, 2, 2, 2, 2, 1, 1, 1}));
  EXPECT_EQ(packed.positions, (std::vector<int32_t>{0, 1, 2, 3, 4, 0, 1, 2}));
  EXPECT_EQ(packed.document_start, (std::vector<int32_t>{0, 0, 0, 0, 0, 5, 5, 5}));
  EXPECT_EQ(packed.rows, (std::vector<int32_t>{4, 4, 7}));
}

TEST(Packing, WhatRequestsBeginWithStandsOnce) {
  const std::vector<ScoreRequest> requests{asking({7, 8, 9, 1, 2}, 3), asking({7, 8, 9, 3}, 2),
                                           asking({7, 8, 9, 3}, 1), asking({7, 8, 9, 4, 5}, 2),
                                           asking({6, 8}, 1)};
  const PassLimits limits{32, 32, 0};
  const std::vector<Group> groups = group_requests(requests, limits, true);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].requests, (std::vector<size_t>{0, 1, 2, 3}));
  EXPECT_EQ(groups[0].shared, 3);
  EXPECT_EQ(groups[0].tokens, 8);
  EXPECT_EQ(groups[0].wanted, 8);
  const PackedPass packed = pack(requests, {groups[0]});
  EXPECT_EQ(packed.ids, (std::vector<int32_t>{7, 8, 9, 1, 2, 3, 4, 5}));
  EXPECT_EQ(packed.positions, (std::vector<int32_t>{0, 1, 2, 3, 4, 3, 3, 4}));
  EXPECT_EQ(packed.document_start, (std::vector<int32_t>(8, 0)));
  EXPECT_EQ(packed.hidden_from, (std::vector<int32_t>{0, 0, 0, 3, 3, 3, 3, 3}));
  EXPECT_EQ(packed.hidden_to, (std::vector<int32_t>{0, 0, 0, 3, 3, 5, 6, 6}));
  // The last place of what is shared predicts the first token of each branch.
  EXPECT_EQ(packed.rows, (std::vector<int32_t>{2, 3, 4, 2, 5, 5, 6, 7}));
  EXPECT_EQ(group_requests(requests, limits, false).size(), 4u)
      << "without branches, equal inputs alone are joined";
  // A beginning of two tokens that two have in common saves two, and costs nothing.
  const std::vector<ScoreRequest> few{asking({1, 2, 3}, 1), asking({1, 2, 4}, 1)};
  EXPECT_EQ(group_requests(few, limits, true)[0].tokens, 4);
  // A group that takes in a stranger would have to give up what it shares.
  EXPECT_EQ(group_requests(requests, {32, 32, 2}, true).size(), 3u);
}

TEST(Scorer, BranchesScoreAsEachAlone) {
  const ProgramSpec spec = tiny_spec(DType::f64);
  const Rng rng(13, stream_of("branches"));
  uint64_t at = 0;
  const auto draw = [&](int64_t count) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& id : ids)
      id = static_cast<int32_t>(rng.below(at++, static_cast<uint64_t>(spec.config.vocab_size)));
    return ids;
  };
  // Four ways to go on from beginnings of many lengths, one of them longer than a block of keys.
  std::vector<ScoreRequest> requests;
  for (const int64_t beginning : {150, 1, 40, 63, 7}) {
    const std::vector<int32_t> head = draw(beginning);
    for (const int64_t length : {5, 0, 70, 2}) {
      std::vector<int32_t> input = head;
      const std::vector<int32_t> own = draw(length);
      input.insert(input.end(), own.begin(), own.end());
      requests.push_back({input, draw(length + 1)});
    }
  }
  std::vector<Score> expected;
  for (const ScoreRequest& r : requests) expected.push_back(alone(spec, r));
  for (const PassLimits& size : {PassLimits{512, 512}, PassLimits{256, 128}, PassLimits{2048, 512}}) {
    Scoring scoring(spec, size);
    for (const int64_t at_once : {0, 1, 3}) {
      const std::vector<Score> got = scoring.run(requests, at_once);
      for (size_t r = 0; r < requests.size(); ++r) {
        // Seventy targets of some ten roundings each, in double.
        EXPECT_NEAR(got[r].log_likelihood, expected[r].log_likelihood, 3 * kTolerance) << r;
        EXPECT_EQ(got[r].greedy, expected[r].greedy) << r;
      }
    }
  }
}

}  // namespace
}  // namespace lethe::test
