// lethe merge BASE ADAPTER: the adapter folded into its base, and what the rounding left of it.
#include "model/merge.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "kernels/cpu/team.h"
#include "model/weights/side_files.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/hub/model.h"
#include "tools/run/proof.h"

namespace lethe {
namespace {

struct MergeArguments {
  std::string base, adapter, output, dtype;
  int64_t threads = 0;
  bool json = false;
};

std::optional<StoredType> type_of(const std::string& dtype) {
  if (dtype.empty()) return std::nullopt;
  if (dtype == "bfloat16") return StoredType::bf16;
  return dtype == "float16" ? StoredType::f16 : StoredType::f32;
}

std::string name_in_config(StoredType type) {
  if (type == StoredType::bf16) return "bfloat16";
  if (type == StoredType::f16) return "float16";
  return type == StoredType::f64 ? "float64" : "float32";
}

std::vector<float> logits_of(const std::string& folder, const std::string& adapter, const Probe& probe,
                             int64_t threads) {
  InferenceModel model(folder,
                       {.adapter = adapter, .rows = probe.rows, .tokens = probe.tokens, .threads = threads});
  const Programs& programs = model.programs();
  return probe_logits(model.session(), programs.evaluate, programs.logits, probe.rows, probe.tokens, probe);
}

void print(const MergedUpdate& u, bool json) {
  if (json) {
    std::cout << nlohmann::json{{"tensor", u.tensor},
                                {"relative_update", u.relative},
                                {"survived", u.survived},
                                {"changed", u.changed},
                                {"elements", u.elements}}
                     .dump()
              << "\n";
    return;
  }
  std::cout << fmt::format("{:<48} {:>12.4g} {:>11.2f}% {:>10.2f}%\n", u.tensor, u.relative, 100 * u.survived,
                           100 * u.changed);
}

}  // namespace

int merge_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Writes the base with the adapter folded in, W + scale B A in float32 rounded once, and prints for "
      "each "
      "tensor how much of the update survived the rounding: its length beside the weight's, the part of it "
      "that is left (100%: all), the share of elements that changed. What was written is loaded back and "
      "must "
      "have the logits of base and adapter.",
      "lethe merge");
  MergeArguments a;
  app.add_option("BASE", a.base, "the base model: a folder, or OWNER/NAME at the hub")->required();
  app.add_option("ADAPTER", a.adapter, "a PEFT adapter: a folder, or OWNER/NAME at the hub")->required();
  app.add_option("--output", a.output, "folder to write, which must not exist")->required();
  app.add_option("--dtype", a.dtype, "float32, bfloat16 or float16; without it each tensor's own")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}));
  app.add_option("--threads", a.threads, "0: all cores");
  app.add_flag("--json", a.json, "one JSON object a line");
  parse(app, arguments);

  if (std::filesystem::exists(a.output)) throw UsageError("--output: " + a.output + " exists already");
  a.base = local_model(a.base);
  a.adapter = local_model(a.adapter);
  const ModelSource base = open_model_folder(a.base);
  const AdapterFiles adapter = open_adapter(a.adapter, base.config);
  const MergedModel merged(*base.files, adapter, base.config);
  const Probe probe = make_probe(base.config.vocab_size, 4, base.config.max_position_embeddings);

  if (!a.json)
    std::cout << fmt::format("{:<48} {:>12} {:>12} {:>11}\n", "tensor", "|d| / |W|", "survived", "changed");
  bool changed = false;
  double roundoff = 0;
  const auto write = [&](const std::string& folder) {
    kernels::cpu::Team team(a.threads > 0 ? static_cast<int>(a.threads)
                                          : static_cast<int>(std::thread::hardware_concurrency()));
    const kernels::cpu::Team::Use use(team);
    std::filesystem::create_directories(folder);
    const auto tensors = merged.tensors(type_of(a.dtype), [&](const MergedUpdate& u) {
      changed = changed || u.changed > 0;
      print(u, a.json);
    });
    write_model(folder, tensors);
    LlamaConfig config = base.config;
    for (const TensorToWrite& t : tensors) {
      roundoff = std::max(roundoff, roundoff_of(t.type));
      config.dtype = name_in_config(t.type);
    }
    write_config(folder + "/config.json", config);
    copy_side_files(a.base, folder);
    if (!changed) throw RunError(fmt::format("in {} no weight differs from the base's", folder));
  };
  const Proof proof = write_proven(a.output, write, [&](const std::string& folder) {
    return compare_logits(logits_of(a.base, a.adapter, probe, a.threads),
                          logits_of(folder, "", probe, a.threads), base.config.vocab_size,
                          base.config.num_hidden_layers, roundoff);
  });
  if (a.json) {
    std::cout << nlohmann::json{{"output", a.output},
                                {"logit_difference", proof.difference},
                                {"bound", proof.bound},
                                {"greedy_tokens", proof.tokens},
                                {"greedy_tokens_same", proof.same}}
                     .dump()
              << "\n";
  } else {
    std::cout << text_of(proof) << "\n" << a.output << "\n";
  }
  return 0;
}

}  // namespace lethe
