// lethe convert MODEL --output DIR: a model in another type or other shards.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "model/weights/convert_model.h"
#include "model/weights/names.h"
#include "tools/command.h"
#include "tools/commands.h"

namespace lethe {
namespace {

std::optional<StoredType> type_of(const std::string& name) {
  if (name == "bf16") return StoredType::bf16;
  if (name == "fp16") return StoredType::f16;
  if (name == "fp32") return StoredType::f32;
  return std::nullopt;
}

}  // namespace

int convert_command(const std::vector<std::string>& arguments) {
  CLI::App app("Writes a model again, in another type or other shards.", "lethe convert");
  std::string model, output, dtype;
  double shard_gb = static_cast<double>(default_shard_bytes) * 1e-9;
  app.add_option("MODEL", model, "folder of a Hugging Face model")->required();
  app.add_option("--output", output, "folder to write; files of a model there are replaced")->required();
  app.add_option("--dtype", dtype, "bf16, fp16 or fp32; without it each tensor stays as it is stored")
      ->check(CLI::IsMember({"bf16", "fp16", "fp32"}));
  app.add_option("--shard-size", shard_gb, "GB (of 1e9 bytes) that a file may hold; default 5")
      ->check(CLI::PositiveNumber);
  parse(app, arguments);

  const LlamaConfig config = parse_config(model + "/config.json");
  const ModelFiles files = ModelFiles::open(model);
  check_model_files(files, config);
  convert_model(files, config, output,
                {.type = type_of(dtype), .shard_bytes = static_cast<int64_t>(std::min(shard_gb, 1e9) * 1e9)});
  const ModelFiles written = ModelFiles::open(output);
  check_model_files(written, parse_config(output + "/config.json"));
  std::cout << fmt::format("{} tensors in {} file{} in {}\n", written.tensors().size(),
                           written.files().size(), written.files().size() == 1 ? "" : "s", output);
  return 0;
}

}  // namespace lethe
