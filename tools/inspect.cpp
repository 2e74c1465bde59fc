// lethe inspect MODEL --ids FILE --out FILE: logits, losses and gradients as safetensors, to hold Lethe
// against a reference of one's own.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/files/json_file.h"
#include "engine/files/safetensors_writer.h"
#include "engine/host_values.h"
#include "engine/step_inputs.h"
#include "model/weights/gguf_model.h"
#include "model/weights/names.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/hub/model.h"
#include "tools/run/inference.h"

namespace lethe {
namespace {

struct IdRows {
  std::vector<std::vector<int32_t>> ids, labels;
  int64_t longest = 0;
};

std::string place_of(size_t row, size_t place) {
  return fmt::format("row {}, place {}", row, place);
}

// Rows of whole numbers, each within the vocabulary or `other`.
std::vector<std::vector<int32_t>> read_rows(const std::string& file, const nlohmann::json& json,
                                            const std::string& key, int64_t vocab_size,
                                            std::optional<int32_t> other) {
  const auto is_list = [](const nlohmann::json& j) { return j.is_array(); };
  if (!json.contains(key) || !is_list(json.at(key)) || !std::ranges::all_of(json.at(key), is_list)) {
    throw FormatError(file, key, "must be a list of rows, each a list of token ids");
  }
  std::vector<std::vector<int32_t>> rows;
  for (const nlohmann::json& row : json.at(key)) {
    rows.emplace_back();
    for (const nlohmann::json& id : row) {
      const bool inside = id.is_number_unsigned() && id.get<uint64_t>() < static_cast<uint64_t>(vocab_size);
      if (!inside && !(other && id.is_number_integer() && id == *other)) {
        throw FormatError(
            file, key + ", " + place_of(rows.size() - 1, rows.back().size()),
            fmt::format("{} is no token id below the vocabulary's size, {}", id.dump(), vocab_size));
      }
      rows.back().push_back(id.get<int32_t>());
    }
  }
  return rows;
}

// The id after each, and none after the last.
std::vector<int32_t> next_ids(const std::vector<int32_t>& ids) {
  std::vector<int32_t> next(ids.begin() + 1, ids.end());
  next.push_back(ignored_label);
  return next;
}

// {"ids": [[...], ...], "labels": [[...], ...]}: labels[r][i] is the token that should follow ids[r][i], or
// -100; without labels, the next id of the row.
IdRows parse_ids(const std::string& file, const LlamaConfig& config) {
  const nlohmann::json json = parse_json(file, read_text(file));
  if (!json.is_object()) throw FormatError(file, "ids", "must stand in an object");
  IdRows rows{.ids = read_rows(file, json, "ids", config.vocab_size, std::nullopt)};
  if (rows.ids.empty()) throw FormatError(file, "ids", "has no row");
  const bool given = json.contains("labels");
  if (given) rows.labels = read_rows(file, json, "labels", config.vocab_size, ignored_label);
  if (given && rows.labels.size() != rows.ids.size()) {
    throw FormatError(file, "labels",
                      fmt::format("has {} rows where ids has {}", rows.labels.size(), rows.ids.size()));
  }
  for (size_t r = 0; r < rows.ids.size(); ++r) {
    const std::vector<int32_t>& ids = rows.ids[r];
    const auto refuse = [&](const std::string& what) {
      throw FormatError(file, fmt::format("row {}", r), what);
    };
    if (ids.empty()) refuse("has no ids");
    if (!given) rows.labels.push_back(next_ids(ids));
    if (rows.labels[r].size() != ids.size()) {
      refuse(fmt::format("has {} ids and {} labels", ids.size(), rows.labels[r].size()));
    }
    const auto length = static_cast<int64_t>(ids.size());
    if (length > config.max_position_embeddings) {
      refuse(
          fmt::format("has {} ids where the model has {} positions", length, config.max_position_embeddings));
    }
    rows.longest = std::max(rows.longest, length);
  }
  return rows;
}

// Gradients under the names that the weights have in their files; parts of merged matrices by their rows. A
// GPU's are copied row by row while the file is written.
void add_gradients(InferenceModel& model, std::vector<TensorToWrite>& out) {
  const Session& session = model.session();
  Backend* backend = &session.backend();
  const State& state = session.state();
  const auto add = [&](const std::string& name, const std::string& file_name, Shape shape) {
    const int32_t index = state.require(name);
    const PersistentInfo& p = state[index];
    const int32_t gradient = state.find_gradient(p.parent >= 0 ? p.parent : index);
    if (gradient < 0) return;
    const Buffer b = session.buffer(gradient);
    const int64_t row = shape.back() * size_of(b.dtype), pitch = b.pitch * size_of(b.dtype);
    const auto* data = static_cast<const std::byte*>(b.data) + p.offset * size_of(b.dtype);
    out.push_back({"gradient." + file_name, stored_type_of(b.dtype), std::move(shape),
                   [=](int64_t first, int64_t count, std::byte* to) {
                     if (row == pitch) return backend->download(to, data + first * row, count * row);
                     for (int64_t r = 0; r < count; ++r)
                       backend->download(to + r * row, data + (first + r) * pitch, row);
                   }});
  };
  if (model.spec().lora) {
    for (const AdapterTensor& t : adapter_tensors(model.config(), *model.spec().lora)) {
      add(t.name, t.file_name, t.shape);
    }
  } else {
    for (const ModelTensor& t : model_tensors(model.config())) add(t.hf_name, t.hf_name, t.shape());
  }
}

double mean_loss(const Buffer& losses, int64_t targets) {
  double sum = 0;
  dispatch_float(losses.dtype, "losses", [&]<class T>() {
    const auto values = losses.as<const T>();
    for (int64_t i = 0; i < losses.rows * losses.width; ++i)
      sum += static_cast<double>(static_cast<compute_t<T>>(values.data[i]));
  });
  return sum / static_cast<double>(targets);
}

}  // namespace

int inspect_command(const std::vector<std::string>& arguments) {
  CLI::App app("Writes logits, losses and gradients for given token ids.", "lethe inspect");
  std::string folder, ids_file, out_file;
  InferenceOptions options;
  app.add_option("MODEL", folder, "a model: a Hugging Face folder, a GGUF file, or OWNER/NAME at the hub")
      ->required();
  app.add_option("--ids", ids_file,
                 "JSON: {\"ids\": rows, \"labels\": rows}; labels[i] follows ids[i], -100: no target")
      ->required();
  app.add_option("--out", out_file, "safetensors file to write")->required();
  app.add_flag("--gradients", options.gradients,
               "also the gradient of every weight (of the adapter, with --adapter)");
  app.add_option("--adapter", options.adapter, "a PEFT adapter: a folder, or OWNER/NAME at the hub");
  app.add_option("--precision", options.precision, "float32, bfloat16 or float64")
      ->check(CLI::IsMember({"float32", "bfloat16", "float64"}));
  app.add_option("--device", options.device, "cpu, cuda, or auto: a GPU if there is one")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}));
  parse(app, arguments);

  folder = local_model(folder);
  if (!options.adapter.empty()) options.adapter = local_model(options.adapter);
  const LlamaConfig config = read_model_config(folder);
  const IdRows rows = parse_ids(ids_file, config);
  options.rows = static_cast<int64_t>(rows.ids.size());
  options.tokens = rows.longest;
  InferenceModel model(folder, options);
  PlainBatch batch(options.rows, options.tokens);
  for (int64_t r = 0; r < options.rows; ++r) {
    batch.set_row(r, options.tokens, rows.ids[static_cast<size_t>(r)], rows.labels[static_cast<size_t>(r)]);
  }
  if (batch.targets == 0) throw DataError(ids_file + ": no label is a target");
  set_batch(model.session(), batch.view());
  set_loss_gradient(model.session(), 1.0 / static_cast<double>(batch.targets));
  // The gradients outlive their program; logits and losses lie in the arena and must come last.
  if (options.gradients) model.session().run(model.programs().step->first);
  const Buffer logits = model.logits(), losses = model.losses();
  const double loss = mean_loss(losses, batch.targets);
  std::vector<TensorToWrite> tensors{
      tensor_to_write("logits", stored_type_of(logits.dtype),
                      {options.rows, options.tokens, config.vocab_size}, logits.data, logits.dtype,
                      logits.pitch),
      tensor_to_write("losses", stored_type_of(losses.dtype), {options.rows, options.tokens}, losses.data,
                      losses.dtype),
      tensor_to_write("loss", StoredType::f64, {1}, &loss, DType::f64)};
  if (options.gradients) add_gradients(model, tensors);
  write_safetensors(out_file, tensors);
  std::cout << fmt::format("loss {:.6f} over {} targets; {} tensors in {}\n", loss, batch.targets,
                           tensors.size(), out_file);
  return 0;
}

}  // namespace lethe
