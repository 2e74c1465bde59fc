// PiSSA: how it begins, beside PEFT, and that what is written of it fits the untouched base.
#include "tools/run/pissa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/files/json_file.h"
#include "engine/host_values.h"
#include "engine/rng.h"
#include "engine/step_inputs.h"
#include "model/weights/load.h"
#include "model/weights/names.h"
#include "tests/files.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

std::vector<double> losses_of(TinyRun& run, const ProgramSpec& spec) {
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  set_batch(*run.session, batch.part(0, spec.rows));
  run.session->run(run.programs.evaluate);
  const Buffer b = run.session->buffer(run.programs.evaluate, run.programs.losses);
  std::vector<double> values;
  for (int64_t r = 0; r < b.rows; ++r)
    for (int64_t c = 0; c < b.width; ++c) values.push_back(b.as<const double>().row(r)[c]);
  return values;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

void randomise_factors(Session& session, const FirstFactors& first) {
  for (const auto& [name, values] : first) {
    const Rng rng(7, stream_of(name));
    std::vector<double> moved = values;
    for (size_t i = 0; i < moved.size(); ++i) moved[i] += 0.3 * rng.normal(i);
    set_host_values(session, name, moved);
  }
}

class Pissa : public testing::TestWithParam<bool> {};

TEST_P(Pissa, BeginsAsTheBaseAndIsWrittenAsAnAdapterOfIt) {
  ProgramSpec spec = tiny_spec(DType::f64);
  spec.lora = tiny_lora(3, 0);
  spec.lora->use_rslora = GetParam();
  spec.lora->rank_pattern = {{"k_proj", 2}};
  spec.lora->alpha_pattern = {{"up_proj", 7}};
  spec.lora->modules_to_save = {"norm"};
  TinyRun run(spec, 2);
  Session& session = *run.session;
  const std::vector<double> base = losses_of(run, spec);
  std::map<std::string, std::vector<double>> weights;
  for (const ModelTensor& t : model_tensors(spec.config))
    weights[t.hf_name] = host_values(session, t.hf_name);

  const FirstFactors first = set_principal_factors(session, spec.config, *spec.lora, 0, 1);
  EXPECT_GT(distance(losses_of(run, spec), base), 0.01) << "the parts count twice until they leave the base";
  take_from_base(session, spec.config, *spec.lora, first);
  EXPECT_LT(distance(losses_of(run, spec), base), 1e-12);

  randomise_factors(session, first);
  const std::vector<double> trained = losses_of(run, spec);
  EXPECT_GT(distance(trained, base), 0.01);
  const Folder folder;
  save_beside_base(folder / "adapter", session, spec.config, *spec.lora, first, "the/base");
  const AdapterFiles files = open_adapter(folder / "adapter", spec.config);
  EXPECT_EQ(files.config.rank, 6);
  ProgramSpec plain = spec;
  plain.lora = files.config;
  TinyRun loaded(plain, 2);
  for (const auto& [name, values] : weights) set_host_values(*loaded.session, name, values);
  load_adapter(*loaded.session, files, spec.config);
  EXPECT_LT(distance(losses_of(loaded, plain), trained), 1e-12);

  save_first_factors(folder / "first", session, spec.config, *spec.lora, first);
  EXPECT_EQ(load_first_factors(folder / "first", spec.config, *spec.lora), first);
}

INSTANTIATE_TEST_SUITE_P(Scale, Pissa, testing::Bool(),
                         [](const auto& rslora) { return rslora.param ? "rslora" : "lora"; });

// PEFT decomposes in float32: weights of about 0.3 to some units of 6e-8 times a factor for the sums of 12.
TEST(Pissa, LeavesOfEachWeightWhatPeftLeaves) {
  const std::string golden = LETHE_SOURCE_DIR "/tests/golden/peft/";
  const nlohmann::json rest =
      parse_json(golden + "golden.json", read_text(golden + "golden.json")).at("pissa.rest");
  ProgramSpec spec = tiny_spec(DType::f64);
  spec.config = parse_config(golden + "base/config.json");
  spec.lora = tiny_lora(3, 0);
  spec.lora->alpha = 6;
  for (const int64_t passes : {0, 16}) {
    TinyRun run(spec, 1);
    Session& session = *run.session;
    load_weights(session, ModelFiles::open(golden + "base"), spec.config);
    take_from_base(session, spec.config, *spec.lora,
                   set_principal_factors(session, spec.config, *spec.lora, passes, 1));
    ASSERT_EQ(rest.size(), 7u);
    for (const auto& [name, values] : rest.items())
      EXPECT_LT(distance(host_values(session, name), values.get<std::vector<double>>()), 2e-6) << name;
  }
}

}  // namespace
}  // namespace lethe::test
