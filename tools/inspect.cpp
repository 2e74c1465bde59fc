// lethe inspect MODEL --ids FILE --out FILE: logits, losses and gradients as safetensors, to hold Lethe against a
// reference of one's own.
#include <CLI/CLI.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/files/json_file.h"
#include "engine/files/safetensors_writer.h"
#include "engine/host_values.h"
#include "engine/step_inputs.h"
#include "model/weights/names.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/run/inference.h"

namespace lethe {
namespace {

struct IdRows {
  std::vector<std::vector<int32_t>> ids, labels;
  int64_t longest = 0;
};

std::vector<std::vector<int32_t>> read_rows(const std::string& file, const nlohmann::json& json, const char* key) {
  try {
    return json.at(key).get<std::vector<std::vector<int32_t>>>();
  } catch (const nlohmann::json::exception&) {
    throw FormatError(file, key, "must be a list of rows, each a list of token ids");
  }
}

// {"ids": [[...], ...], "labels": [[...], ...]}: labels[r][i] is the token that should follow ids[r][i], or -100;
// without labels, the next id of the row.
IdRows parse_ids(const std::string& file, int64_t vocab_size) {
  const nlohmann::json json = parse_json(file, read_text(file));
  IdRows rows{.ids = read_rows(file, json, "ids")};
  if (rows.ids.empty()) throw FormatError(file, "ids", "has no row");
  if (json.contains("labels")) rows.labels = read_rows(file, json, "labels");
  const bool given = !rows.labels.empty();
  if (given && rows.labels.size() != rows.ids.size()) {
    throw FormatError(file, "labels", fmt::format("has {} rows where ids has {}", rows.labels.size(), rows.ids.size()));
  }
  for (size_t r = 0; r < rows.ids.size(); ++r) {
    const std::vector<int32_t>& ids = rows.ids[r];
    if (!given) {
      std::vector<int32_t> next(ids.begin() + (ids.empty() ? 0 : 1), ids.end());
      next.push_back(ignored_label);
      rows.labels.push_back(std::move(next));
    }
    if (ids.empty() || rows.labels[r].size() != ids.size()) {
      throw FormatError(file, fmt::format("row {}", r), fmt::format("has {} ids and {} labels", ids.size(), rows.labels[r].size()));
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      const int32_t label = rows.labels[r][i];
      if (ids[i] < 0 || ids[i] >= vocab_size || label >= vocab_size || (label < 0 && label != ignored_label)) {
        throw FormatError(file, fmt::format("row {}, place {}", r, i),
                          fmt::format("id {} with label {} lies outside the vocabulary of {}", ids[i], label, vocab_size));
      }
    }
    rows.longest = std::max(rows.longest, static_cast<int64_t>(ids.size()));
  }
  return rows;
}

// Gradients under the weights' Hugging Face names; parts of merged matrices by their rows.
void add_gradients(InferenceModel& model, std::vector<TensorToWrite>& out) {
  const Session& session = model.session();
  const State& state = session.state();
  const auto add = [&](const std::string& name, Shape shape) {
    const PersistentInfo& p = state[state.require(name)];
    const int32_t root = p.parent >= 0 ? p.parent : state.require(name);
    const int32_t gradient = state.find_gradient(root);
    if (gradient < 0) return;
    const Buffer b = session.buffer(gradient);
    const auto* data = static_cast<const std::byte*>(b.data) + p.offset * size_of(b.dtype);
    out.push_back(tensor_to_write("gradient." + name, stored_type_of(b.dtype), std::move(shape), data, b.dtype, b.pitch));
  };
  if (model.spec().lora) {
    for (const AdapterTensor& t : adapter_tensors(model.config(), *model.spec().lora)) add(t.name, {t.rows, t.columns});
  } else {
    for (const ModelTensor& t : model_tensors(model.config())) add(t.hf_name, t.shape());
  }
}

}  // namespace

int inspect_command(const std::vector<std::string>& arguments) {
  CLI::App app("Writes logits, losses and gradients for given token ids.", "lethe inspect");
  std::string folder, ids_file, out_file;
  InferenceOptions options;
  app.add_option("MODEL", folder, "folder of a Hugging Face model")->required();
  app.add_option("--ids", ids_file, "JSON: {\"ids\": rows, \"labels\": rows}; labels[i] follows ids[i], -100: no target")->required();
  app.add_option("--out", out_file, "safetensors file to write")->required();
  app.add_flag("--gradients", options.gradients, "also the gradient of every weight (of the adapter, with --adapter)");
  app.add_option("--adapter", options.adapter, "folder of a PEFT adapter");
  app.add_option("--precision", options.precision, "float32, bfloat16 or float64")
      ->check(CLI::IsMember({"float32", "bfloat16", "float64"}));
  parse(app, arguments);

  const LlamaConfig config = parse_config(folder + "/config.json");
  const IdRows rows = parse_ids(ids_file, config.vocab_size);
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
  const Buffer logits = model.logits(), losses = model.losses();
  const Shape logits_shape{options.rows, options.tokens, config.vocab_size}, losses_shape{options.rows, options.tokens};
  std::vector<TensorToWrite> tensors;
  tensors.push_back(tensor_to_write("logits", stored_type_of(logits.dtype), logits_shape, logits.data, logits.dtype, logits.pitch));
  tensors.push_back(tensor_to_write("losses", stored_type_of(losses.dtype), losses_shape, losses.data, losses.dtype));
  double loss = 0;
  dispatch_float(losses.dtype, "losses", [&]<class T>() {
    const auto values = losses.as<const T>();
    for (int64_t i = 0; i < losses.rows * losses.width; ++i) loss += static_cast<double>(static_cast<compute_t<T>>(values.data[i]));
  });
  loss /= static_cast<double>(batch.targets);
  tensors.push_back(tensor_to_write("loss", StoredType::f64, {1}, &loss, DType::f64));
  if (options.gradients) {
    // The gradient program would reuse the arena under the logits: they are written from a copy.
    std::vector<std::byte> kept(static_cast<size_t>(logits.rows * logits.pitch * size_of(logits.dtype)));
    std::vector<std::byte> kept_losses(static_cast<size_t>(losses.rows * losses.width * size_of(losses.dtype)));
    model.session().backend().download(kept.data(), logits.data, static_cast<int64_t>(kept.size()));
    model.session().backend().download(kept_losses.data(), losses.data, static_cast<int64_t>(kept_losses.size()));
    tensors[0] = tensor_to_write("logits", stored_type_of(logits.dtype), logits_shape, kept.data(), logits.dtype, logits.pitch);
    tensors[1] = tensor_to_write("losses", stored_type_of(losses.dtype), losses_shape, kept_losses.data(), losses.dtype);
    model.session().run(model.programs().step->first);
    add_gradients(model, tensors);
    write_safetensors(out_file, tensors);
  } else {
    write_safetensors(out_file, tensors);
  }
  std::cout << fmt::format("loss {:.6f} over {} targets; {} tensors in {}\n", loss, batch.targets, tensors.size(), out_file);
  return 0;
}

}  // namespace lethe
