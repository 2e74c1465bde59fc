// lethe batches CONFIG --output FILE: the tokens that a run reads, step by step, as safetensors.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <iostream>

#include "engine/files/safetensors_writer.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/run/training_run.h"

namespace lethe {
namespace {

// Deals one step's batch after another; asked for rows in order, it makes each batch once.
class Steps {
 public:
  Steps(const PreparedRun& run, int64_t first)
      : loader_(run.data.loader(static_cast<uint64_t>(run.options.data.shuffle_seed))),
        rows_(run.options.train.batch_size),
        first_(first) {}

  // Row `index` of all rows from the first step's on.
  std::span<const int32_t> row(int64_t index, std::vector<int32_t> Batch::*part) {
    const int64_t step = index / rows_;
    if (step != step_) {
      batch_ = loader_.at(static_cast<uint64_t>((first_ + step) * rows_), rows_);
      step_ = step;
    }
    const int64_t tokens = batch_.tokens_per_row;
    return std::span(batch_.*part)
        .subspan(static_cast<size_t>(index % rows_ * tokens), static_cast<size_t>(tokens));
  }

 private:
  Loader loader_;
  int64_t rows_, first_, step_ = -1;
  Batch batch_;
};

}  // namespace

int batches_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Writes the tokens that a run reads: int32 tensors ids, labels, positions and document_start, each "
      "[steps, train.batch_size, data.sequence_length].",
      "lethe batches");
  ConfigArguments config;
  std::string out_file;
  int64_t first = 1, count = 0;
  add_config_arguments(app, config, train_table(), ConfigFile::required);
  app.add_option("--output", out_file, "safetensors file to write")->required();
  app.add_option("--first", first, "first step, from 1")->check(CLI::PositiveNumber);
  app.add_option("--steps", count, "how many steps; 0: all up to the run's last")
      ->check(CLI::NonNegativeNumber);
  parse(app, arguments);

  const PreparedRun run = prepare_run(train_options(load_settings(train_table(), config)));
  if (count == 0) count = std::max<int64_t>(1, run.steps - first + 1);
  if (first + count - 1 > run.steps) {
    throw ConfigError(
        "--steps", fmt::format("{} steps from step {} on go beyond the run's {}", count, first, run.steps));
  }
  run.data.keep_shards();
  Steps steps(run, first - 1);
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const std::string& name, std::vector<int32_t> Batch::*part) {
    const Shape shape{count, run.options.train.batch_size, run.options.data.sequence_length};
    tensors.push_back(
        {name, stored_type_of(DType::i32), shape, [&steps, part](int64_t row, int64_t rows, std::byte* out) {
           for (int64_t r = row; r < row + rows; ++r) {
             const auto values = std::as_bytes(steps.row(r, part));
             std::memcpy(out, values.data(), values.size());
             out += values.size();
           }
         }});
  };
  add("ids", &Batch::ids);
  add("labels", &Batch::labels);
  add("positions", &Batch::positions);
  add("document_start", &Batch::document_start);
  write_safetensors(out_file, tensors);
  std::cout << fmt::format("steps {} to {} of {} in {}\n", first, first + count - 1, run.steps, out_file);
  return 0;
}

}  // namespace lethe
