// lethe convert MODEL --output DIR: a model in another type or other shards, or as a GGUF file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "model/weights/convert_model.h"
#include "model/weights/gguf_model.h"
#include "model/weights/gguf_writer.h"
#include "model/weights/names.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/hub/model.h"
#include "tools/run/model_tokenizer.h"

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
  std::string model, output, dtype, gguf_type;
  double shard_gb = static_cast<double>(default_shard_bytes) * 1e-9;
  app.add_option("MODEL", model, "a model: a Hugging Face folder, a GGUF file, or OWNER/NAME at the hub")
      ->required();
  app.add_option("--output", output,
                 "folder to write; files of a model there are replaced; or a file NAME.gguf for llama.cpp")
      ->required();
  app.add_option("--dtype", dtype, "bf16, fp16 or fp32; without it each tensor stays as it is stored")
      ->check(CLI::IsMember({"bf16", "fp16", "fp32"}));
  app.add_option("--shard-size", shard_gb, "GB (of 1e9 bytes) that a file may hold; default 5")
      ->check(CLI::PositiveNumber);
  app.add_option("--type", gguf_type, "of a GGUF file's matrices: f16 (default) or q8_0")
      ->check(CLI::IsMember({"f16", "q8_0"}));
  parse(app, arguments);
  if (!gguf_type.empty() && !is_gguf(output)) throw UsageError("--type: OUTPUT is no file NAME.gguf");

  model = local_model(model);
  const LlamaConfig config = read_model_config(model);
  const ModelFiles files = ModelFiles::open(model);
  check_model_files(files, config);
  if (is_gguf(output)) {
    if (!dtype.empty()) throw UsageError("--dtype: is for folders; a GGUF file has --type");
    std::error_code error;
    if (std::filesystem::equivalent(model, output, error))
      throw UsageError(output + " is the model's own file; name another one");
    write_gguf(output, files, config, gguf_type == "q8_0" ? GgmlType::q8_0 : GgmlType::f16,
               gguf_tokenizer_keys(model, config.vocab_size));
    const ModelFiles written = ModelFiles::open(output);
    check_model_files(written, read_model_config(output));
    std::cout << fmt::format("{} tensors in {}\n", written.tensors().size(), output);
    return 0;
  }
  convert_model(files, config, output,
                {.type = type_of(dtype), .shard_bytes = static_cast<int64_t>(std::min(shard_gb, 1e9) * 1e9)});
  if (is_gguf(model)) save_gguf_side_files(model, output);
  const ModelFiles written = ModelFiles::open(output);
  check_model_files(written, parse_config(output + "/config.json"));
  std::cout << fmt::format("{} tensors in {} file{} in {}\n", written.tensors().size(),
                           written.files().size(), written.files().size() == 1 ? "" : "s", output);
  return 0;
}

}  // namespace lethe
