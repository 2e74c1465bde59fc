#include "tools/study/grid/config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "engine/error.h"
#include "tools/study/grid/fields.h"

namespace lethe::grid {
namespace {

YAML::Node load(const std::string& file) {
  if (!std::filesystem::exists(file)) throw RequestError(file + ": is not there");
  try {
    return YAML::LoadFile(file);
  } catch (const YAML::Exception& e) {
    throw FormatError(file, "", e.what());
  }
}

// The child of that key, or of a list of maps the one with that name.
YAML::Node child(const YAML::Node& node, const std::string& key) {
  if (node.IsSequence()) {
    for (const auto& entry : node) {
      if (entry.IsMap() && entry["name"] && entry["name"].as<std::string>() == key) return entry;
    }
    const bool number = !key.empty() && key.find_first_not_of("0123456789") == std::string::npos;
    if (number && std::stoul(key) < node.size()) return node[std::stoul(key)];
    return YAML::Node(YAML::NodeType::Undefined);
  }
  return YAML::Node(node)[key];
}

void assign(YAML::Node& root, const std::string& assignment) {
  const size_t split = assignment.find('=');
  const std::string path = assignment.substr(0, split);
  if (split == std::string::npos || path.empty()) throw ConfigError(assignment, "is no KEY=VALUE");
  std::vector<std::string> keys;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    keys.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  YAML::Node at = root;
  for (size_t i = 0; i + 1 < keys.size(); ++i) {
    YAML::Node next = child(at, keys[i]);
    if (!next) {
      // A map of options may be absent, or hold the rest as one dotted key.
      if (at.IsSequence()) throw ConfigError(path, "there is no " + keys[i]);
      at[keys[i]] = YAML::Node(YAML::NodeType::Map);
      next = at[keys[i]];
    }
    at.reset(next);
  }
  if (!at.IsMap()) throw ConfigError(path, "is not inside a map");
  try {
    at[keys.back()] = YAML::Load(assignment.substr(split + 1));
  } catch (const YAML::Exception& e) {
    throw ConfigError(path, e.what());
  }
}

template <class T, class Read>
std::vector<T> named(const YAML::Node& map, const std::string& path, const Read& read) {
  std::vector<T> made;
  if (!map || map.IsNull()) return made;
  if (!map.IsMap()) throw ConfigError(path, "must be a map of names");
  for (const auto& entry : map) {
    const auto name = entry.first.as<std::string>();
    if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
        std::string::npos)
      throw ConfigError(path + "." + name, "a name has letters, digits, _ and - alone");
    Fields fields(entry.second, path + "." + name);
    made.push_back(read(name, fields));
    fields.finish();
  }
  return made;
}

Text text_of(const std::string& name, Fields& f) {
  Text t{.name = name};
  f.take_list("path", t.paths);
  f.take_list("extensions", t.extensions);
  f.take("key", t.key);
  f.take("held_out", t.held_out);
  f.take("for_bases", t.for_bases);
  f.take("max_bytes", t.max_bytes);
  f.take("rows", t.rows);
  t.train = f.text("train");
  if (t.paths.empty()) throw ConfigError(f.path() + ".path", "is needed");
  for (const double share : {t.held_out, t.for_bases}) {
    if (!(share >= 0 && share < 1)) throw ConfigError(f.path(), "held_out and for_bases are shares below 1");
  }
  return t;
}

Base base_of(const std::string& name, Fields& f) {
  Base b{.name = name};
  f.take("path", b.path);
  f.take("config_path", b.config_path);
  b.config = f.text("config");
  f.take("vocab_size", b.vocab_size);
  f.take("vocabulary_of", b.vocabulary_of);
  f.take("duration", b.duration);
  f.take("tokens_per_second", b.tokens_per_second);
  b.train = f.text("train");
  if (const YAML::Node texts = f.find("texts"); texts) {
    if (!texts.IsMap()) throw ConfigError(f.path() + ".texts", "must be a map of shares");
    for (const auto& t : texts) b.texts.emplace_back(t.first.as<std::string>(), t.second.as<double>());
  }
  if (b.path.empty() && b.config.empty() && b.config_path.empty())
    throw ConfigError(f.path(), "needs path (a model's folder) or config (of one that is trained)");
  if (b.path.empty() && (b.texts.empty() || b.duration.count <= 0))
    throw ConfigError(f.path(), "needs texts and duration, or path");
  return b;
}

Method method_of(Fields& f) {
  Method m;
  f.take("method", m.method);
  static const std::set<std::string> known{"full", "lora", "rslora", "lora_plus", "dora", "pissa"};
  if (!known.contains(m.method))
    throw ConfigError(f.path() + ".method", "must be full, lora, rslora, lora_plus, dora or pissa");
  f.take_list("rank", m.ranks);
  f.take_list("alpha", m.alphas);
  f.take_list("modules", m.modules);
  f.take_list("learning_rate", m.learning_rates);
  f.take_list("weight_decay", m.weight_decays);
  f.take_list("attention_dropout", m.attention_dropouts);
  f.take_list("replay", m.replays);
  f.take_list("scale", m.scales);
  f.take_list("seed", m.seeds);
  f.take_list("duration", m.durations);
  f.take("learning_rate_of", m.learning_rate_of);
  f.take("every_rate", m.every_rate);
  f.take("ratio", m.ratio);
  f.take("suffix", m.suffix);
  f.take("spectrum", m.spectrum);
  m.train = f.text("train");
  if (m.method == "full" && !m.ranks.empty()) throw ConfigError(f.path() + ".rank", "full has no rank");
  if (m.method != "full" && m.ranks.empty()) throw ConfigError(f.path() + ".rank", "is needed");
  if (!m.scales.empty() && m.method != "lora" && m.method != "rslora")
    throw ConfigError(f.path() + ".scale", "belongs to lora and rslora");
  if (m.learning_rates.empty() == m.learning_rate_of.empty())
    throw ConfigError(f.path() + ".learning_rate", "is needed, or learning_rate_of in its place");
  for (const double r : m.replays) {
    if (!(r >= 0 && r < 1)) throw ConfigError(f.path() + ".replay", "is a share below 1");
  }
  for (const std::string& s : m.modules) {
    if (s != "all" && s != "attention" && s != "mlp")
      throw ConfigError(f.path() + ".modules", "must be all, attention or mlp");
  }
  return m;
}

Benchmarks benchmarks_of(const YAML::Node& node, const std::string& path) {
  Benchmarks b;
  Fields f(node, path);
  f.take_list("tasks", b.tasks);
  f.take_list("learning", b.learning);
  f.take_list("data", b.data);
  f.take("protocol", b.protocol);
  f.take("limit", b.limit);
  f.take("shots", b.shots);
  f.take("samples", b.samples);
  f.take("temperature", b.temperature);
  f.take("max_new_tokens", b.max_new_tokens);
  f.finish();
  return b;
}

Experiment experiment_of(const std::string& name, Fields& f) {
  Experiment e{.name = name, .seeds = {0}};
  f.take("family", e.family);
  f.take("base", e.base);
  f.take("target", e.target);
  f.take_list("measured", e.measured);
  f.take_list("durations", e.durations);
  f.take("branches", e.branches);
  f.take("cooldown", e.cooldown);
  f.take("short_branches", e.short_branches);
  if (Duration sweep; true) {
    f.take("sweep", sweep);
    if (sweep.count > 0) e.sweep = sweep;
  }
  f.take_list("seeds", e.seeds);
  f.take("sweep_seed", e.sweep_seed);
  const YAML::Node benchmarks = f.find("benchmarks");
  for (size_t i = 0; benchmarks && i < benchmarks.size(); ++i) {
    e.benchmarks.push_back(benchmarks_of(benchmarks[i], fmt::format("{}.benchmarks[{}]", f.path(), i)));
  }
  e.train = f.text("train");
  const YAML::Node methods = f.find("methods");
  if (!methods || !methods.IsSequence() || methods.size() == 0)
    throw ConfigError(f.path() + ".methods", "must be a list");
  for (size_t i = 0; i < methods.size(); ++i) {
    Fields m(methods[i], fmt::format("{}.methods[{}]", f.path(), i));
    e.methods.push_back(method_of(m));
    m.finish();
  }
  if (e.family != "cpt" && e.family != "ift") throw ConfigError(f.path() + ".family", "must be cpt or ift");
  if (e.durations.empty()) throw ConfigError(f.path() + ".durations", "is needed");
  if (e.short_branches.empty()) e.short_branches = "scaled";
  if (e.short_branches != "scaled" && e.short_branches != "warmup")
    throw ConfigError(f.path() + ".short_branches", "must be scaled or warmup");
  if (!(e.cooldown > 0 && e.cooldown < 1)) throw ConfigError(f.path() + ".cooldown", "is a share below 1");
  return e;
}

void check(const Study& s) {
  for (const Base& b : s.bases) {
    for (const auto& [name, share] : b.texts) s.text(name);
    if (b.vocabulary_of.empty()) continue;
    const Base& other = s.base(b.vocabulary_of);
    const std::string key = "grid.bases." + b.name + ".vocabulary_of";
    if (!other.vocabulary_of.empty() || !other.path.empty() || !b.path.empty())
      throw ConfigError(
          key, other.name + " and " + b.name + " must be trained here, the former on its own vocabulary");
    if (other.vocab_size != b.vocab_size)
      throw ConfigError(key, fmt::format("{} has vocab_size {}, {} has {}", other.name, other.vocab_size,
                                         b.name, b.vocab_size));
  }
  for (const Experiment& e : s.experiments) {
    s.base(e.base);
    s.text(e.target);
    for (const std::string& name : e.measured) s.text(name);
  }
}

}  // namespace

const Text& Study::text(const std::string& asked) const {
  const auto found = std::ranges::find(texts, asked, &Text::name);
  if (found == texts.end()) throw ConfigError("grid.texts", "has no " + asked);
  return *found;
}

const Base& Study::base(const std::string& asked) const {
  const auto found = std::ranges::find(bases, asked, &Base::name);
  if (found == bases.end()) throw ConfigError("grid.bases", "has no " + asked);
  return *found;
}

bool is_grid(const std::string& file) {
  if (file.empty() || !std::filesystem::exists(file)) return false;
  try {
    const YAML::Node root = YAML::LoadFile(file);
    return root.IsMap() && root["grid"];
  } catch (const YAML::Exception&) {
    return false;
  }
}

Study read_study(const std::string& file, const std::vector<std::string>& assignments) {
  YAML::Node root = load(file);
  for (const std::string& a : assignments) assign(root, a);
  Fields top(root, file);
  const YAML::Node grid = top.find("grid");
  top.finish();
  Fields f(grid, "grid");
  Study s;
  f.take("name", s.name);
  f.take("eval_tokens", s.eval_tokens);
  f.take("start_seconds", s.start_seconds);
  s.train = f.text("train");
  s.texts = named<Text>(f.find("texts"), "grid.texts", text_of);
  s.bases = named<Base>(f.find("bases"), "grid.bases", base_of);
  s.experiments = named<Experiment>(f.find("experiments"), "grid.experiments", experiment_of);
  f.finish();
  check(s);
  return s;
}

}  // namespace lethe::grid
