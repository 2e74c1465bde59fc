#include "optim/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/rng.h"
#include "engine/step_inputs.h"

namespace lethe {
namespace {

// What the update reads of a step.
void declare_step(State& state) {
  for (const char* name : {step::index, step::seed})
    state.declare({.name = name, .dtype = DType::i64, .shape = {1}, .kind = Kind::step_value});
  state.declare({.name = step::loss_sum, .dtype = DType::f64, .shape = {1}, .kind = Kind::step_value});
}

// A program of the update alone: a weight [5, 7], its LoRA-like neighbour [3] and gradients the test sets.
struct Update {
  Update(const OptimizerOptions& options, const Precision& precision, int threads = 2) {
    auto state = std::make_unique<State>();
    declare_step(*state);
    const auto parameter = [&](const std::string& name, Shape shape, int64_t pitch) {
      const int32_t i = state->declare({.name = name,
                                        .dtype = precision.weights,
                                        .shape = std::move(shape),
                                        .trainable = true,
                                        .pitch = pitch});
      state->gradient_of(i, precision.gradients);
    };
    parameter("weight", {5, 7}, 9);
    state->declare({.name = "frozen", .dtype = precision.weights, .shape = {2, 2}});
    parameter("gain", {3}, 0);
    groups = parameter_groups(*state);
    std::vector<std::unique_ptr<Tape>> tapes;
    tapes.push_back(std::make_unique<Tape>(*state, "update"));
    append_update(*tapes[0], options, precision);
    session =
        std::make_unique<Session>(std::move(state), std::move(tapes), make_cpu_backend({.threads = threads}));
  }

  // Values of both parameters, one after the other, as double.
  std::vector<double> values(const std::string& prefix = "") const {
    std::vector<double> all;
    for (const char* name : {"weight", "gain"}) {
      const std::string full = prefix + name;
      dispatch_float(session->state()[session->state().require(full)].dtype, full, [&]<class T>() {
        for (const T v : session->get<T>(full))
          all.push_back(static_cast<double>(static_cast<compute_t<T>>(v)));
      });
    }
    return all;
  }
  void set(const std::string& prefix, const std::vector<double>& all) const {
    auto at = all.begin();
    for (const char* name : {"weight", "gain"}) {
      const std::string full = prefix + name;
      const PersistentInfo& info = session->state()[session->state().require(full)];
      dispatch_float(info.dtype, full, [&]<class T>() {
        std::vector<T> typed;
        for (int64_t i = 0; i < elements_of(info.shape); ++i) {
          typed.push_back(static_cast<T>(static_cast<compute_t<T>>(*at++)));
        }
        session->set(full, typed);
      });
    }
  }
  void step(int64_t index, double rate, const std::vector<double>& gradient) const {
    session->set<int64_t>(step::index, {index});
    session->set<double>(step::learning_rate, std::vector<double>(groups.size(), rate));
    set("gradient/", gradient);
    session->run(0);
  }
  double norm() const { return session->get<double>(step::gradient_norm)[0]; }
  int64_t moved() const { return session->get<int64_t>(step::parameters_moved)[0]; }

  std::vector<ParameterGroup> groups;
  std::unique_ptr<Session> session;
};

std::vector<double> normals(uint64_t stream) {
  std::vector<double> x(38);
  const Rng rng(2, stream);
  for (size_t i = 0; i < x.size(); ++i) x[i] = rng.normal(i);
  return x;
}

TEST(ParameterGroups, DecayMatricesAndNotVectors) {
  State state;
  for (const char* name : {"model.embed_tokens.weight", "q.lora_A.weight", "q.lora_B.weight"}) {
    state.declare({.name = name, .shape = {4, 4}, .trainable = true});
  }
  state.declare({.name = "norm.weight", .shape = {4}, .trainable = true});
  state.declare({.name = "frozen", .shape = {4}});
  auto groups = parameter_groups(state);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].parameters, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(groups[1].parameters, (std::vector<int32_t>{3}));
  EXPECT_TRUE(groups[0].decayed);
  EXPECT_FALSE(groups[1].decayed);
  const GroupingOptions grouping{
      .decay_vectors = true, .not_decayed = {"embed_tokens"}, .learning_rate_multipliers = {{"lora_B", 16}}};
  groups = parameter_groups(state, grouping);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].parameters, (std::vector<int32_t>{0}));
  EXPECT_FALSE(groups[0].decayed);
  EXPECT_EQ(groups[1].parameters, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(groups[2].learning_rate_multiplier, 16);
  const ScheduleSpec schedule = schedule_spec({.name = "linear", .warmup = {2}}, {.steps = 4});
  const auto rates = learning_rates(state, {.learning_rate = 0.5, .grouping = grouping}, schedule, 1);
  EXPECT_EQ(rates, (std::vector<double>{0.25, 0.25, 4.0}));
}

// Five steps in double beside a plain loop; sums of five products each in double agree to 1e-13.
TEST(AppendUpdate, FollowsAPlainLoop) {
  for (const std::string name : {"adamw", "decoupled_adamw", "lion"}) {
    const OptimizerOptions o{
        .name = name, .learning_rate = 0.02, .weight_decay = 0.1, .max_gradient_norm = 1};
    const Update update(o, Precision::f64());
    std::vector<double> p = normals(0), m(38), v(38);
    update.set("", p);
    for (int64_t t = 1; t <= 5; ++t) {
      const std::vector<double> g = normals(static_cast<uint64_t>(t));
      const double rate = 0.02 * static_cast<double>(t) / 5;
      update.step(t, rate, g);
      double norm = 0;
      for (const double x : g) norm += x * x;
      norm = std::sqrt(norm);
      EXPECT_NEAR(update.norm(), norm, 1e-13);
      EXPECT_EQ(update.moved(), 38);
      const double clip = std::min(1.0, 1 / (norm + 1e-6));
      for (size_t i = 0; i < p.size(); ++i) {
        const double x = g[i] * clip;
        const double decay =
            i < 35 ? 0.1 * (name == "adamw" ? rate : rate / 0.02) : 0;  // the gain does not decay
        p[i] *= 1 - decay;
        if (name == "lion") {
          const double c = 0.9 * m[i] + 0.1 * x;
          p[i] -= rate * (c > 0 ? 1 : c < 0 ? -1 : 0);
          m[i] = 0.95 * m[i] + 0.05 * x;
        } else {
          m[i] = 0.9 * m[i] + 0.1 * x;
          v[i] = 0.95 * v[i] + 0.05 * x * x;
          const auto s = static_cast<double>(t);
          p[i] -= rate * (m[i] / (1 - std::pow(0.9, s))) / (std::sqrt(v[i] / (1 - std::pow(0.95, s))) + 1e-8);
        }
      }
      const auto got = update.values();
      for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(got[i], p[i], 1e-13) << name << " step " << t;
    }
    EXPECT_EQ(update.session->state().find("adam.v/weight") >= 0, name != "lion");
    EXPECT_EQ(update.session->state().find("lion.m/gain") >= 0, name == "lion");
  }
}

TEST(AppendUpdate, KeepsMastersWhereWeightsAreNarrow) {
  for (const Master master : {Master::whole, Master::split}) {
    Precision precision = Precision::bf16();
    precision.master = master;
    const Update update({.learning_rate = 1e-4, .max_gradient_norm = 0}, precision);
    update.set("", std::vector<double>(38, 1.0));
    initialise_optimizer(*update.session);
    // Steps of 1e-4 leave a bf16 of 1 alone until they add up to half of 2^-8.
    for (int64_t t = 1; t <= 19; ++t) {
      update.step(t, 1e-4, std::vector<double>(38, 1.0));
      EXPECT_EQ(update.moved(), 0) << t;
    }
    update.step(20, 1e-4, std::vector<double>(38, 1.0));
    EXPECT_EQ(update.moved(), 38);
    EXPECT_EQ(update.values(), std::vector<double>(38, 1 - 0x1p-8));
    if (master == Master::whole) {
      EXPECT_NEAR(update.values("master/")[0], 1 - 20e-4, 1e-6);
    } else {
      // 1 - 2^-8 + remainder, in units of 2^-24 as everything from 0.5 to 1.
      const auto low = update.session->get<uint16_t>("remainder/gain")[0];
      EXPECT_NEAR(1 - 0x1p-8 + low * 0x1p-24, 1 - 20e-4, 1e-6);
      initialise_optimizer(*update.session);
      EXPECT_EQ(update.session->get<uint16_t>("remainder/gain"), std::vector<uint16_t>(3));
    }
  }
}

TEST(AppendUpdate, ChangesNothingFromAStepThatDivergedOn) {
  for (const Precision& precision : {Precision::f32(), Precision::bf16(), Precision::bf16_state()}) {
    const Update update({.weight_decay = 0.1}, precision);
    update.set("", normals(0));
    const auto before = update.values();
    auto g = normals(1);
    g[36] = std::numeric_limits<double>::quiet_NaN();
    update.step(1, 1e-2, g);
    EXPECT_TRUE(std::isnan(update.norm()));
    // The host may find out late.
    update.step(2, 1e-2, normals(1));
    EXPECT_EQ(update.values(), before);
    EXPECT_EQ(update.values("adam.m/"), std::vector<double>(38, 0.0));
    EXPECT_EQ(update.moved(), 0);
    EXPECT_EQ(update.session->get<int64_t>(step::halted)[0], 1);
    update.session->set<int64_t>(step::halted, {0});
    update.session->set<double>(step::loss_sum, {std::numeric_limits<double>::infinity()});
    update.step(3, 1e-2, normals(1));
    EXPECT_EQ(update.values(), before) << "the loss is not finite";
    update.session->set<int64_t>(step::halted, {0});
    update.session->set<double>(step::loss_sum, {1});
    update.step(3, 1e-2, normals(1));
    EXPECT_NE(update.values(), before);
  }
}

// One node for each combination of dtypes: matrices with gradients in bf16, vectors with float ones.
TEST(AppendUpdate, HasANodeForEachCombinationOfDtypes) {
  Precision mixed = Precision::bf16();
  mixed.gradients = DType::bf16;
  for (const auto& [precision, nodes] : {std::pair{Precision::f32(), 2u},
                                         {Precision::bf16(), 2u},
                                         {mixed, 3u},
                                         {Precision::bf16_state(), 3u}}) {
    const Update update({}, precision);
    EXPECT_EQ(update.session->program(0).nodes().size(), nodes);
    const State& state = update.session->state();
    EXPECT_EQ(state[state.require("gradient/weight")].dtype, precision.gradients);
    EXPECT_EQ(state[state.require("gradient/gain")].dtype, DType::f32);
    update.set("", normals(0));
    update.step(1, 1e-1, normals(1));
    EXPECT_GE(update.moved(), 35);
  }
}

class SameBits : public testing::TestWithParam<bool> {};
TEST_P(SameBits, ForEveryNumberOfThreads) {
  const Precision precision = GetParam() ? Precision::bf16_state() : Precision::f32();
  std::vector<double> first;
  for (const int threads : {1, 2, 4}) {
    const Update update({.weight_decay = 0.1}, precision, threads);
    update.set("", normals(0));
    for (int64_t t = 1; t <= 3; ++t) update.step(t, 1e-2, normals(static_cast<uint64_t>(t)));
    if (first.empty()) first = update.values();
    EXPECT_EQ(update.values(), first);
  }
}

INSTANTIATE_TEST_SUITE_P(AppendUpdate, SameBits, testing::Bool());

TEST(AppendUpdate, NamesWhatItRefuses) {
  const auto key = [](const OptimizerOptions& options) -> std::string {
    try {
      const Update update(options, Precision::f32());
    } catch (const ConfigError& error) {
      return error.key;
    }
    return "";
  };
  EXPECT_EQ(key({.name = "adam"}), "optimizer.name");
  EXPECT_EQ(key({.learning_rate = -1}), "optimizer.learning_rate");
  EXPECT_EQ(key({.beta2 = 1}), "optimizer.betas");
  EXPECT_EQ(key({.epsilon = 0}), "optimizer.epsilon");
  EXPECT_EQ(key({.weight_decay = std::nan("")}), "optimizer.weight_decay");
  EXPECT_EQ(key({.max_gradient_norm = -1}), "train.max_gradient_norm");
  State state;
  declare_step(state);
  Tape tape(state, "update");
  EXPECT_THROW(append_update(tape, {}, Precision::f32()), ConfigError) << "nothing is trained";
  state.declare({.name = "weight", .shape = {2, 2}, .trainable = true});
  EXPECT_THROW(append_update(tape, {}, Precision::f32()), ShapeError) << "no gradient";
}

}  // namespace
}  // namespace lethe
