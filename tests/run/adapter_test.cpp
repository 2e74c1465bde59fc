// Adapters beside a model and merged into it; models and adapters on disk and back.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "engine/host_values.h"
#include "engine/step_inputs.h"
#include "model/merge.h"
#include "model/weights/load.h"
#include "model/weights/names.h"
#include "model/weights/save.h"
#include "tests/files.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

ProgramSpec lora_spec(DType dtype, bool tied = false) {
  ProgramSpec spec = tiny_spec(dtype, tied);
  spec.lora = tiny_lora(3, 0.3);  // no dropout where nothing is trained
  return spec;
}

std::vector<double> logits_of(TinyRun& run, const ProgramSpec& spec) {
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  set_batch(*run.session, batch.part(0, spec.rows));
  run.session->run(run.programs.evaluate);
  const Buffer b = run.session->buffer(run.programs.evaluate, run.programs.logits);
  std::vector<double> values;
  dispatch_float(b.dtype, "logits", [&]<class T>() {
    for (int64_t r = 0; r < b.rows; ++r) {
      for (int64_t c = 0; c < b.width; ++c)
        values.push_back(static_cast<double>(static_cast<compute_t<T>>(b.as<const T>().row(r)[c])));
    }
  });
  return values;
}

std::map<std::string, std::vector<double>> weights_of(const Session& session) {
  std::map<std::string, std::vector<double>> found;
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const PersistentInfo& p = session.state()[i];
    if (p.kind == Kind::weight) found[p.name] = host_values(session, p.name);
  }
  return found;
}

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double v : values) most = std::max(most, std::abs(v));
  return most;
}

TEST(Adapter, MergedIntoTheWeightsGivesTheSameLogits) {
  for (const auto& [dtype, bound, dora] : {std::tuple{DType::f32, 1e-5, false},
                                           {DType::f64, 1e-10, false},
                                           {DType::f32, 1e-5, true},
                                           {DType::f64, 1e-10, true}}) {
    const Folder folder;
    ProgramSpec spec = lora_spec(dtype);
    spec.lora->use_dora = dora;
    if (dora) {
      spec.lora->rank_pattern = {{"k_proj", 5}};
      spec.lora->dropout = 0;
    }
    TinyRun beside(spec, 2, true);
    const std::vector<double> without = logits_of(beside, spec);
    randomise_lora_b(*beside.session, 5);
    const std::vector<double> expected = logits_of(beside, spec);

    merge_adapters(*beside.session, spec.config, *spec.lora);
    save_model(folder.path(), *beside.session, spec.config);
    ProgramSpec plain = tiny_spec(dtype);
    plain.config = parse_config(folder / "config.json");
    TinyRun merged(plain, 2, true);
    load_weights(*merged.session, ModelFiles::open(folder.path()), plain.config);
    const std::vector<double> got = logits_of(merged, plain);

    // Float: W + s B A is rounded once, and its products of 12 terms meet in another order: some 24 roundings
    // of 6e-8 in each of 14 maps, as independent errors sqrt(14 * 24) * 6e-8 = 1.1e-6 of the logits' size,
    // times a few that the norms between may add. Double is held to the 1e-10 that is asked of it.
    const double size = largest(expected);
    ASSERT_GT(size, 0.1);
    double error = 0, change = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      error = std::max(error, std::abs(got[i] - expected[i]));
      change = std::max(change, std::abs(without[i] - expected[i]));
    }
    EXPECT_LE(error, bound * size) << name_of(dtype);
    EXPECT_GT(change, 0.01 * size) << "the adapter must do something";
  }
}

TEST(Adapter, SavedAndLoadedHasEqualBits) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    const Folder folder;
    ProgramSpec spec = lora_spec(dtype);
    spec.lora->use_dora = true;
    spec.lora->dropout = 0;
    spec.lora->modules_to_save = {"lm_head", "norm"};
    spec.lora->rank_pattern = {{"k_proj", 5}};
    TinyRun first(spec, 2), second(spec, 2);
    randomise_lora_b(*first.session, 5);
    randomise_lora_b(*second.session, 6);
    ASSERT_NE(weights_of(*first.session), weights_of(*second.session));
    save_adapter(folder.path(), *first.session, *spec.lora, spec.config, "the/base");
    const AdapterFiles files = open_adapter(folder.path(), spec.config);
    LoraConfig expected = *spec.lora;
    expected.base_model_name = "the/base";
    EXPECT_EQ(files.config, expected);
    load_adapter(*second.session, files, spec.config);
    EXPECT_EQ(weights_of(*first.session), weights_of(*second.session)) << name_of(dtype);
  }
}

TEST(Model, SavedAndLoadedHasEqualBitsUnderHuggingFacesNames) {
  for (const bool tied : {false, true}) {
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      const Folder folder;
      const ProgramSpec spec = tiny_spec(dtype, tied);
      TinyRun first(spec, 2), second(spec, 2);
      initialise_weights(*second.session, spec.config, 2);
      ASSERT_NE(weights_of(*first.session), weights_of(*second.session));
      save_model(folder.path(), *first.session, spec.config);
      const LlamaConfig config = parse_config(folder / "config.json");
      EXPECT_EQ(config.dtype, name_of(dtype));
      const ModelFiles files = ModelFiles::open(folder.path());
      check_model_files(files, config);
      std::set<std::string> names, expected = {"model.embed_tokens.weight", "model.norm.weight"};
      for (const StoredTensor& t : files.tensors()) names.insert(t.entry->name);
      if (!tied) expected.insert("lm_head.weight");
      for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
        for (const char* part :
             {"input_layernorm", "post_attention_layernorm", "self_attn.q_proj", "self_attn.k_proj",
              "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
          expected.insert(layer + part + ".weight");
        }
      }
      EXPECT_EQ(names, expected);
      load_weights(*second.session, files, config);
      EXPECT_EQ(weights_of(*first.session), weights_of(*second.session))
          << name_of(dtype) << (tied ? " tied" : "");
    }
  }
}

}  // namespace
}  // namespace lethe::test
