// lethe data show CONFIG: what a run reads, as people can read it.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tools/command.h"
#include "tools/commands.h"
#include "tools/data/shown.h"

namespace lethe {

int data_command(const std::vector<std::string>& arguments) {
  CLI::App app("Looks at the data of a run.", "lethe data");
  app.require_subcommand(1);
  CLI::App& show = *app.add_subcommand(
      "show",
      "Prints training sequences as text: where documents meet, what is learned (on a terminal the rest is "
      "dim; elsewhere what is learned stands between [[ and ]]), how full sequences are, what was left out.");
  ConfigArguments config;
  int64_t example = 0, first = 1, count = 2;
  bool json = false;
  add_config_arguments(show, config, train_table(), ConfigFile::required);
  show.add_option("--example", example, "one document, counted from 1 through all of data.train")
      ->check(CLI::PositiveNumber);
  show.add_option("--first", first, "first sequence, from 1 in the order of training")
      ->check(CLI::PositiveNumber);
  show.add_option("--sequences", count, "how many")->check(CLI::NonNegativeNumber);
  show.add_flag("--json", json, "print one JSON object");
  parse(app, arguments);

  const TrainOptions options = train_options(load_settings(train_table(), config));
  const RunData data = prepare_data(options);
  std::vector<ShownSequence> shown;
  if (example > 0) {
    shown.push_back(show_example(data, example - 1));
  } else {
    const Loader loader = data.loader(static_cast<uint64_t>(options.data.shuffle_seed));
    for (int64_t i = 0; i < count; ++i) {
      shown.push_back(show_sequence(data, loader, static_cast<uint64_t>(first - 1 + i)));
    }
  }
  data.keep_shards();
  if (json) {
    nlohmann::json all = {{"sources", sources_json(data)}, {"shown", nlohmann::json::array()}};
    if (data.chat) all["chat_template"] = {{"name", data.chat->name()}, {"hash", data.chat->hash()}};
    for (const ShownSequence& sequence : shown) all["shown"].push_back(json_of(sequence));
    std::cout << all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return 0;
  }
  const bool colours = ::isatty(STDOUT_FILENO) != 0;
  for (const ShownSequence& sequence : shown) std::cout << text_of(sequence, colours) << "\n";
  std::cout << sources_text(data);
  if (data.chat) std::cout << fmt::format("template {}, hash {}\n", data.chat->name(), data.chat->hash());
  return 0;
}

}  // namespace lethe
