// lethe advise MODEL --tokens N: a configuration to begin with, the reason and source of each line, and what
// to expect of it.
#include "tools/advise/advise.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "model/config.h"
#include "model/weights/gguf_model.h"
#include "model/weights/names.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/hub/model.h"

namespace lethe {
namespace {

using nlohmann::json;

advise::ModelShape shape_of(const LlamaConfig& config) {
  advise::ModelShape shape{.parameters = static_cast<double>(parameter_count(config)),
                           .hidden_size = config.hidden_size,
                           .smallest_side = config.hidden_size};
  for (const LinearModule& m : linear_modules(config)) {
    shape.adapter_parameters_per_rank += static_cast<double>(m.in + m.out);
    shape.smallest_side = std::min({shape.smallest_side, m.in, m.out});
  }
  return shape;
}

json json_of(const advise::Advice& a) {
  json lines = json::array();
  for (const advise::Line& l : a.lines)
    lines.push_back({{"key", l.key}, {"value", l.value}, {"reason", l.reason}, {"source", l.source}});
  return {{"lines", lines},
          {"learning_rates", a.sweep},
          {"state_bytes", a.state_bytes},
          {"warnings", a.warnings},
          {"expected",
           {{"tables", a.expected.tables},
            {"rank", a.expected_rank},
            {"duration", a.expected.duration},
            {"nearest", a.expected.clamped},
            {"learned_points", a.expected.learned},
            {"forgotten_points", a.expected.forgotten},
            {"full_learned_points", a.expected.full_learned},
            {"full_forgotten_points", a.expected.full_forgotten}}}};
}

}  // namespace

int advise_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "A configuration to begin with for a model and its data, with the reason and source of each line.",
      "lethe advise");
  std::string model;
  advise::Request request;
  double memory = 0;
  bool as_json = false;
  app.add_option("MODEL", model, "a folder, a GGUF file, or OWNER/NAME at the hub")->required();
  app.add_option("--tokens", request.tokens, "tokens of the data, once through")->required();
  app.add_option("--for", request.kind, "instructions (the default) or pretraining")
      ->transform(CLI::CheckedTransformer(std::map<std::string, advise::Kind>{
          {"instructions", advise::Kind::instructions}, {"pretraining", advise::Kind::pretraining}}));
  app.add_option("--domain", request.domain,
                 "what the data are most like in the paper: code (the default) or math")
      ->transform(CLI::CheckedTransformer(std::map<std::string, advise::Domain>{
          {"code", advise::Domain::code}, {"math", advise::Domain::math}}));
  app.add_option("--memory", memory,
                 "GB (10^9 bytes) for weights, gradients and optimizer; without it, no limit");
  app.add_flag("--json", as_json, "print it as JSON");
  parse(app, arguments);
  request.memory_bytes = 1e9 * memory;
  request.model = shape_of(read_model_config(local_model(model)));
  const advise::Advice advice = advise::advise(request);
  std::cout << (as_json ? json_of(advice).dump(1) + "\n" : advise::text_of(request, advice));
  return 0;
}

}  // namespace lethe
