// lethe tune CONFIG: times the algorithms for a run's matrix products on this GPU and keeps the fastest.
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tools/command.h"
#include "tools/commands.h"
#include "tools/run/memory_budget.h"
#include "tools/run/training_run.h"
#include "tools/run/tuning.h"

namespace lethe {
namespace {

constexpr const char* kPurpose =
    "Times the algorithms for each matrix product of a run, the GPU library's and Lethe's own for thin ones, "
    "and "
    "keeps the fastest "
    "for this GPU, driver and library; later runs use them (train.tuned_products). The products that cost "
    "most "
    "come first. 'uses' counts launches in one run of each program; 'which' is the fastest's place among the "
    "candidates, 0 the one that is used untuned. Needs no data.";

struct TuneArguments {
  ConfigArguments config;
  std::string cache;
  kernels::MatmulTuneOptions options;
  bool json = false;
};

// The run's programs on its device, with nothing in the weights: sizes are all that counts here.
Session programs_on_device(const TrainOptions& o, const std::string& cache) {
  auto backend = make_backend({.device = o.device, .matmul_cache = cache});
  if (backend->device().kind == DeviceKind::cpu) {
    throw ConfigError("device", o.device + ": this is a CPU; algorithms are chosen for a GPU");
  }
  Programs programs = record_programs(program_spec_of(o, model_config(o.model)));
  const int64_t budget = memory_budget(o.memory_budget_gb, *backend);
  return {std::move(programs.state), std::move(programs.tapes), std::move(backend), budget};
}

}  // namespace

int tune_command(const std::vector<std::string>& arguments) {
  CLI::App app(kPurpose, "lethe tune");
  TuneArguments a;
  add_config_arguments(app, a.config, train_table(), ConfigFile::required);
  app.add_option("--seconds", a.options.seconds, "begin no further product after these")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--again", a.options.again, "also time products whose choice was kept before");
  app.add_option("--cache", a.cache, "folder of the choices, instead of ~/.cache/lethe/matmul");
  app.add_flag("--json", a.json, "print the rows as one JSON object");
  parse(app, arguments);

  const Session session = programs_on_device(train_options(load_settings(train_table(), a.config)), a.cache);
  if (!a.json) {
    std::cout << tuning_title();
    a.options.progress = [](const kernels::MatmulTuning& row, size_t, size_t) {
      std::cout << tuning_line(row) << std::flush;
    };
  }
  const auto rows = session.backend().tune_products(a.options);
  const std::string file = session.backend().tuned_products_file();
  if (a.json) {
    std::cout << nlohmann::json{{"products", tuning_json(rows)}, {"file", file}}.dump() << "\n";
  } else {
    std::cout << tuning_summary(rows) << "kept in " << file << "\n";
  }
  return 0;
}

}  // namespace lethe
