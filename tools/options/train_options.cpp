#include "tools/options/train_options.h"

#include <algorithm>
#include <charconv>

#include "engine/backend/backend.h"

namespace lethe {

const std::vector<std::string>& lora_modules() {
  static const std::vector<std::string> modules = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                   "gate_proj", "up_proj", "down_proj"};
  return modules;
}

std::vector<std::string> resolve_target_modules(const Settings& settings, std::string_view name) {
  const auto& asked = settings.get<std::vector<std::string>>(name);
  using Names = std::vector<std::string>;
  if (asked == Names{"all"} || asked == Names{"all-linear"}) return lora_modules();
  std::vector<std::string> modules;
  for (const std::string& module : lora_modules()) {
    if (std::find(asked.begin(), asked.end(), module) != asked.end()) {
      modules.push_back(module);
    }
  }
  for (const std::string& module : asked) {
    const bool all = module == "all" || module == "all-linear" || module.empty();
    if (!all && std::find(modules.begin(), modules.end(), module) == modules.end()) modules.push_back(module);
  }
  // Fewer than asked for: "all" beside others, or one of them twice.
  if (modules.empty() || modules.size() != asked.size()) {
    settings.refuse(name, "must be all, or names of modules, each once");
  }
  return modules;
}

namespace {

TrainOptions::Model model_of(const Settings& s) {
  const auto& config = s.get<PathOrMap>("model.config");
  TrainOptions::Model model{s.get<std::string>("model.path"), config.path, config.json,
                            s.get<int64_t>("model.initial_seed")};
  const bool fresh = !config.path.empty() || !config.json.empty();
  if (model.path.empty() && !fresh) {
    s.refuse("model.path", "needed: a model's folder (or model.config for a fresh model)");
  }
  if (!model.path.empty() && fresh) {
    s.refuse("model.path", "excludes model.config (" + s.source("model.config") + ")");
  }
  return model;
}

// "EXPRESSION=NUMBER", the number behind the last "=".
template <class T>
std::vector<std::pair<std::string, T>> pattern_of(const Settings& s, const char* name) {
  std::vector<std::pair<std::string, T>> pattern;
  for (const std::string& entry : s.get<std::vector<std::string>>(name)) {
    const size_t split = entry.rfind('=');
    T value{};
    const char *begin = entry.data() + split + 1, *end = entry.data() + entry.size();
    const bool whole = split != std::string::npos && split > 0 && begin != end;
    const auto read = whole ? std::from_chars(begin, end, value) : std::from_chars_result{begin, std::errc{}};
    if (!whole || read.ec != std::errc{} || read.ptr != end || !(value > 0)) {
      s.refuse(name, "holds " + entry + ", which is no EXPRESSION=NUMBER with a number above 0");
    }
    pattern.emplace_back(entry.substr(0, split), value);
  }
  return pattern;
}

TrainOptions::Lora lora_of(const Settings& s) {
  using Names = std::vector<std::string>;
  TrainOptions::Lora lora{.rank = s.get<int64_t>("lora.rank"),
                          .alpha = s.get<double>("lora.alpha"),
                          .dropout = s.get<double>("lora.dropout"),
                          .use_rslora = s.get<bool>("lora.use_rslora"),
                          .target_modules = resolve_target_modules(s, "lora.target_modules"),
                          .target_expression = s.get<std::string>("lora.target_expression"),
                          .exclude_modules = s.get<Names>("lora.exclude_modules"),
                          .layers_to_transform = s.get<std::vector<int64_t>>("lora.layers_to_transform"),
                          .layers_pattern = s.get<Names>("lora.layers_pattern"),
                          .rank_pattern = pattern_of<int64_t>(s, "lora.rank_pattern"),
                          .alpha_pattern = pattern_of<double>(s, "lora.alpha_pattern"),
                          .modules_to_save = s.get<Names>("lora.modules_to_save"),
                          .use_dora = s.get<bool>("lora.use_dora"),
                          .init = s.get<std::string>("lora.init"),
                          .pissa_passes = s.get<int64_t>("lora.pissa_passes"),
                          .plus_ratio = s.get<double>("lora.plus_ratio")};
  if (!lora.target_expression.empty()) {
    if (!s.is_default("lora.target_modules"))
      s.refuse("lora.target_expression", "excludes lora.target_modules");
    lora.target_modules.clear();
  }
  if (lora.init == "pissa" && lora.use_dora)
    s.refuse("lora.init", "pissa and lora.use_dora exclude each other");
  if (lora.init != "pissa" && !s.is_default("lora.pissa_passes"))
    s.refuse("lora.pissa_passes", "is for lora.init: pissa");
  if (lora.use_dora && lora.dropout > 0) s.refuse("lora.dropout", "must be 0 where lora.use_dora is set");
  if (lora.alpha == 0) {
    lora.alpha = 2 * static_cast<double>(lora.rank);
  }
  return lora;
}

// What instructions ask of the other options, and what they need to be read.
void resolve_instructions(const Settings& s, TrainOptions::Data& data) {
  const bool instructions = !data.chat_template.empty();
  if (data.packing == "auto") data.packing = instructions ? "pack" : "stream";
  if (!instructions) {
    for (const char* name :
         {"data.records", "data.prompt_key", "data.response_key", "data.loss", "data.too_long"}) {
      if (!s.is_default(name)) s.refuse(name, "is for instructions: data.chat_template must be set");
    }
    return;
  }
  if (data.packing != "pack") s.refuse("data.packing", "must be pack where data.chat_template is set");
  if (!data.document_mask) s.refuse("data.document_mask", "must be true where data.chat_template is set");
  if (data.prompt_key.empty() != data.response_key.empty()) {
    s.refuse(data.prompt_key.empty() ? "data.prompt_key" : "data.response_key",
             "prompt_key and response_key are given together");
  }
  if (data.records == "columns" && data.prompt_key.empty()) {
    s.refuse("data.records", "columns needs data.prompt_key and data.response_key");
  }
  if (data.records != "columns" && data.records != "auto" && !data.prompt_key.empty()) {
    s.refuse("data.records", "must be columns where data.prompt_key is given");
  }
}

TrainOptions::Data data_of(const Settings& s) {
  TrainOptions::Data data{
      .train = s.get<std::vector<WeightedPath>>("data.train"),
      .held_out = s.get<std::vector<NamedPath>>("data.held_out"),
      .held_out_fraction = s.get<double>("data.held_out_fraction"),
      .tokenizer = s.get<std::string>("data.tokenizer"),
      .text_key = s.get<std::string>("data.text_key"),
      .format = s.get<std::string>("data.format"),
      .extensions = s.get<std::vector<std::string>>("data.extensions"),
      .sequence_length = s.get<int64_t>("data.sequence_length"),
      .packing = s.get<std::string>("data.packing"),
      .document_mask = s.get<bool>("data.document_mask"),
      .shuffle_seed = s.get<int64_t>("data.shuffle_seed"),
      .cache_dir = s.get<std::string>("data.cache_dir"),
      .add_bos = s.get<bool>("data.add_bos"),
      .mixing_temperature = s.get<double>("data.mixing_temperature"),
      .chat_template = s.get<std::string>("data.chat_template"),
      .records = s.get<std::string>("data.records"),
      .prompt_key = s.get<std::string>("data.prompt_key"),
      .response_key = s.get<std::string>("data.response_key"),
      .loss = s.get<std::string>("data.loss"),
      .too_long = s.get<std::string>("data.too_long"),
  };
  resolve_instructions(s, data);
  for (size_t i = 0; i < data.held_out.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (data.held_out[i].name == data.held_out[j].name) {
        s.refuse("data.held_out", "the name " + data.held_out[i].name + " is given twice");
      }
    }
  }
  if (data.tokenizer.empty()) {
    data.tokenizer = s.get<std::string>("model.path");
    // A plan of the program alone has no text to read.
    if (data.tokenizer.empty() && !(data.train.empty() && data.held_out.empty())) {
      s.refuse("data.tokenizer", "needed with model.config: a fresh model brings no tokenizer");
    }
  }
  return data;
}

TrainOptions::Train train_of(const Settings& s) {
  TrainOptions::Train train{
      .duration = s.get<Duration>("train.duration"),
      .batch_size = s.get<int64_t>("train.batch_size"),
      .micro_batch_size = s.get<int64_t>("train.micro_batch_size"),
      .seed = s.get<int64_t>("train.seed"),
      .max_gradient_norm = s.get<double>("train.max_gradient_norm"),
      .attention_dropout = s.get<double>("train.attention_dropout"),
      .gradients = s.get<std::string>("train.gradients"),
      .recompute = s.get<std::string>("train.recompute"),
      .recompute_layers = s.get<int64_t>("train.recompute_layers"),
      .deterministic = s.get<bool>("train.deterministic"),
      .graph = s.get<bool>("train.graph"),
      .eval_every = s.get<int64_t>("train.eval_every"),
      .eval_batches = s.get<int64_t>("train.eval_batches"),
      .save_every = s.get<int64_t>("train.save_every"),
      .keep_checkpoints = s.get<int64_t>("train.keep_checkpoints"),
      .log_every = s.get<int64_t>("train.log_every"),
      .checkpoint_async = s.get<std::string>("train.checkpoint_async"),
      .tuned_products = s.get<bool>("train.tuned_products"),
  };
  const double dropout = train.attention_dropout;
  if (dropout != -1 && !(dropout >= 0 && dropout < 1))
    s.refuse("train.attention_dropout", "must be from 0 to below 1, or -1 for the model's own");
  if (train.batch_size % train.micro_batch_size != 0) {
    s.refuse("train.micro_batch_size",
             "must divide train.batch_size, which is " + std::to_string(train.batch_size));
  }
  return train;
}

TrainOptions::Eval eval_of(const Settings& s, const TrainOptions::Data& data) {
  TrainOptions::Eval eval{
      .every = s.get<int64_t>("eval.every"),
      .tasks = s.get<std::vector<std::string>>("eval.tasks"),
      .data = s.get<std::vector<std::string>>("eval.data"),
      .protocol = s.get<std::string>("eval.protocol"),
      .shots = s.get<int64_t>("eval.shots"),
      .limit = s.get<int64_t>("eval.limit"),
      .divergence = s.get<std::vector<std::string>>("eval.divergence"),
      .learning = s.get<std::vector<std::string>>("eval.learning"),
      .forgetting = s.get<std::vector<std::string>>("eval.forgetting"),
      .stop_when_forgotten = s.get<double>("eval.stop_when_forgotten"),
      .keep_best = s.get<bool>("eval.keep_best"),
      .max_share_of_time = s.get<double>("eval.max_share_of_time"),
  };
  if (eval.every == 0) {
    for (const char* name : {"eval.tasks", "eval.divergence", "eval.learning", "eval.forgetting",
                             "eval.stop_when_forgotten", "eval.keep_best"}) {
      if (!s.is_default(name)) s.refuse(name, "nothing is measured while eval.every is 0");
    }
    return eval;
  }
  if (!eval.tasks.empty() && eval.data.empty())
    s.refuse("eval.data", "needed with eval.tasks: where their files are");
  for (const std::string& name : eval.divergence) {
    const bool is_text = std::ranges::find(data.held_out, name, &NamedPath::name) != data.held_out.end();
    if (!is_text && !(name == "held_out" && data.held_out_fraction > 0))
      s.refuse("eval.divergence", name + " is none of data.held_out's names, nor held_out");
  }
  // The text that is trained on is what is learned; what else is measured is what the base knew.
  if (eval.learning.empty() && data.held_out_fraction > 0) eval.learning = {"loss of held_out"};
  if (eval.forgetting.empty()) eval.forgetting = eval.tasks;
  if (eval.forgetting.empty()) {
    for (const NamedPath& text : data.held_out) eval.forgetting.push_back("loss of " + text.name);
  }
  if (eval.stop_when_forgotten > 0 && eval.forgetting.empty())
    s.refuse("eval.stop_when_forgotten", "nothing tells what is forgotten: see eval.forgetting");
  if (eval.keep_best && eval.learning.empty())
    s.refuse("eval.keep_best", "nothing tells what is learned: see eval.learning");
  return eval;
}

TrainOptions::Optimizer optimizer_of(const Settings& s) {
  TrainOptions::Optimizer optimizer{
      .name = s.get<std::string>("optimizer.name"),
      .learning_rate = s.get<double>("optimizer.learning_rate"),
      .epsilon = s.get<double>("optimizer.epsilon"),
      .weight_decay = s.get<double>("optimizer.weight_decay"),
      .state = s.get<std::string>("optimizer.state"),
  };
  const auto& betas = s.get<std::vector<double>>("optimizer.betas");
  if (!betas.empty() && betas.size() != 2) {
    s.refuse("optimizer.betas", "must be two numbers");
  }
  optimizer.beta1 = betas.empty() ? 0.9 : betas[0];
  optimizer.beta2 = betas.empty() ? (optimizer.name == "lion" ? 0.99 : 0.95) : betas[1];
  return optimizer;
}

TrainOptions::Schedule schedule_of(const Settings& s) {
  TrainOptions::Schedule schedule{
      .name = s.get<std::string>("schedule.name"),
      .warmup = s.get<Duration>("schedule.warmup"),
      .cooldown = s.get<Duration>("schedule.cooldown"),
      .alpha_f = s.get<double>("schedule.alpha_f"),
      .scale = s.get<Duration>("schedule.scale"),
      .alpha_f_decay = s.get<double>("schedule.alpha_f_decay"),
      .alpha_f_cooldown = s.get<double>("schedule.alpha_f_cooldown"),
  };
  if (schedule.scale.count == 0) {
    schedule.scale = schedule.warmup;
  }
  if (schedule.name == "inverse_sqrt" && schedule.scale.count == 0) {
    s.refuse("schedule.scale", "inverse_sqrt needs a time scale, or a warm-up to take it from");
  }
  return schedule;
}

TrainOptions::Distributed distributed_of(const Settings& s) {
  TrainOptions::Distributed d{.engine = s.get<std::string>("distributed.engine"),
                              .sharding = s.get<std::string>("distributed.sharding"),
                              .bucket_mb = s.get<int64_t>("distributed.bucket_mb")};
  if (d.sharding == "zero3") {
    const auto whole = [&](const char* key, bool needs_whole_weights) {
      if (needs_whole_weights)
        s.refuse(key, "needs whole weights on each process: not with distributed.sharding zero3");
    };
    const bool lora = s.get<std::string>("method") == "lora";
    whole("lora.use_dora", lora && s.get<bool>("lora.use_dora"));
    whole("lora.init", lora && s.get<std::string>("lora.init") == "pissa");
    whole("eval.divergence", !s.get<std::vector<std::string>>("eval.divergence").empty());
  }
  return d;
}

// Neither gradients nor moving averages are narrower than the weights.
void require_wide_enough(const Settings& s, std::string_view name) {
  const auto &type = s.get<std::string>(name), &precision = s.get<std::string>("precision");
  if (type == "auto" || type == precision || precision == "bfloat16") return;
  s.refuse(name, type + " is narrower than the weights, whose precision is " + precision);
}

}  // namespace

TrainOptions train_options(const Settings& s) {
  for (const char* name : {"train.gradients", "optimizer.state"}) require_wide_enough(s, name);
  if (const auto device = s.get<std::string>("device"); !parse_device(device)) {
    s.refuse("device", "must be auto, cpu, cuda or cuda:N");
  }
  TrainOptions::Model model = model_of(s);
  TrainOptions::Data data = data_of(s);
  TrainOptions::Eval eval = eval_of(s, data);
  return {
      .model = std::move(model),
      .method = s.get<std::string>("method"),
      .lora = lora_of(s),
      .data = std::move(data),
      .train = train_of(s),
      .eval = std::move(eval),
      .optimizer = optimizer_of(s),
      .schedule = schedule_of(s),
      .distributed = distributed_of(s),
      .precision = s.get<std::string>("precision"),
      .device = s.get<std::string>("device"),
      .threads = s.get<int64_t>("threads"),
      .memory_budget_gb = s.get<double>("memory_budget_gb"),
      .output = s.get<std::string>("output"),
  };
}

}  // namespace lethe
