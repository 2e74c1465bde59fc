// The option tables, and settings read through them.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "engine/error.h"
#include "tools/options/nearest.h"
#include "tools/options/render.h"
#include "tools/options/study_options.h"
#include "tools/options/train_options.h"

namespace lethe {
namespace {

using Texts = std::vector<std::string>;

// The message of the RequestError that `action` throws.
template <class Action>
std::string refusal(const Action& action) {
  try {
    action();
  } catch (const RequestError& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

std::string refusal_of_set(const std::string& assignment) {
  return refusal([&] { Settings(train_table()).set(assignment); });
}
std::string refusal_of_yaml(const std::string& yaml) {
  return refusal([&] { Settings(train_table()).read_text(yaml, "run.yaml"); });
}

Settings read(const std::string& yaml) {
  Settings settings(train_table());
  settings.read_text(yaml, "run.yaml");
  return settings;
}

void expect_mentions(const std::string& message, const Texts& words) {
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << "'" << word << "' is not in: " << message;
  }
}

// The least that a training configuration must say.
Settings complete() {
  return read("model.path: m\ndata.train: [a.txt]\n");
}

TEST(OptionTables, EveryOptionIsDocumentedAndStatesWhatIsAllowed) {
  for (const OptionTable* table : {&train_table(), &study_table()}) {
    std::set<std::string> names;
    EXPECT_FALSE(table->options().empty());
    for (const Option& option : table->options()) {
      EXPECT_TRUE(names.insert(option.name).second) << option.name << " stands twice";
      EXPECT_GE(option.meaning.size(), 15u) << option.name;
      EXPECT_TRUE(option.meaning.ends_with('.')) << option.name;
      EXPECT_FALSE(std::holds_alternative<std::monostate>(option.allowed)) << option.name;
      const bool is_number = option.type == OptionType::integer || option.type == OptionType::number ||
                             option.type == OptionType::duration || option.type == OptionType::integer_list ||
                             option.type == OptionType::number_list;
      EXPECT_EQ(is_number || option.type == OptionType::weighted_path_list,
                std::holds_alternative<Range>(option.allowed))
          << option.name;
    }
  }
}

TEST(OptionTables, EveryDefaultPassesItsOwnCheck) {
  EXPECT_NO_THROW(Settings{train_table()});
  EXPECT_NO_THROW(study_options(Settings(study_table())));
}

TEST(OptionTables, EveryOptionIsReadIntoTheTypedStructures) {
  for (const char* file : {"train", "study"}) {
    const OptionTable& table = std::string(file) == "train" ? train_table() : study_table();
    std::ifstream stream(std::string(LETHE_SOURCE_DIR) + "/tools/options/" + file + "_options.cpp");
    std::ostringstream source;
    source << stream.rdbuf();
    for (const Option& option : table.options()) {
      EXPECT_NE(source.str().find("\"" + option.name + "\""), std::string::npos)
          << option.name << " is never read";
    }
  }
}

TEST(OptionTables, RangesAndChoicesAreEnforcedForEveryOption) {
  for (const OptionTable* table : {&train_table(), &study_table()}) {
    for (const Option& option : table->options()) {
      const bool scalar_text = option.type == OptionType::text || option.type == OptionType::text_list;
      if (scalar_text && std::holds_alternative<Choices>(option.allowed)) {
        EXPECT_THROW(Settings(*table).set(option.name + "=no_such_choice"), ConfigError) << option.name;
      }
      if (const auto* range = std::get_if<Range>(&option.allowed);
          range != nullptr && option.type != OptionType::weighted_path_list) {
        const auto lowest = static_cast<int64_t>(range->lowest);
        const std::string below =
            std::to_string(lowest - 1) + (option.type == OptionType::duration ? " steps" : "");
        EXPECT_THROW(Settings(*table).set(option.name + "=" + below), ConfigError) << option.name;
      }
    }
  }
}

TEST(OptionTables, ThePageOfOptionsIsCurrent) {
  std::ifstream stream(std::string(LETHE_SOURCE_DIR) + "/docs/options.md");
  std::ostringstream page;
  page << stream.rdbuf();
  EXPECT_EQ(page.str(), markdown_page({&train_table(), &study_table()}))
      << "write it again: lethe options > docs/options.md";
}

TEST(OptionTables, HelpShowsEveryOptionWithinItsWidth) {
  const std::string help = help_text(train_table(), 110);
  for (const Option& option : train_table().options()) {
    EXPECT_NE(help.find("  " + option.name + " "), std::string::npos) << option.name;
  }
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 110u) << line;
  }
}

TEST(Nearest, FindsTheNameThatWasMeant) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(nearest("lora.rnak", {"lora.alpha", "lora.rank"}), "lora.rank");
  EXPECT_EQ(nearest("learning_rate", {"lora.rank", "optimizer.learning_rate"}), "optimizer.learning_rate");
  EXPECT_EQ(nearest("x", {}), "");
}

TEST(Settings, UnknownKeysNameTheNearestKnownOneAndTheLine) {
  expect_mentions(refusal_of_yaml("\nlora:\n  rnak: 3\n"), {"lora.rnak", "lora.rank", "run.yaml:3"});
  expect_mentions(refusal_of_yaml("learning_rate: 3\n"), {"optimizer.learning_rate", "run.yaml:1"});
  expect_mentions(refusal_of_set("devise=cpu"), {"devise", "device", "--set"});
}

TEST(Settings, WrongTypesNameKeyValueAndWhere) {
  expect_mentions(refusal_of_yaml("lora: {rank: many}"), {"lora.rank", "integer", "'many'", "run.yaml:1"});
  expect_mentions(refusal_of_yaml("lora.rank: 1.5"), {"lora.rank", "'1.5'"});
  expect_mentions(refusal_of_yaml("lora.rank: [1]"), {"lora.rank", "a list"});
  expect_mentions(refusal_of_yaml("lora.rank:"), {"lora.rank", "nothing"});
  expect_mentions(refusal_of_yaml("data.add_bos: 1"), {"data.add_bos", "true or false"});
  expect_mentions(refusal_of_yaml("train.duration: 1000"), {"train.duration", "'1000'", "steps"});
  expect_mentions(refusal_of_yaml("data.tokenizer: {a: b}"), {"data.tokenizer", "a map"});
  expect_mentions(refusal_of_yaml("lora: 3"), {"lora", "group"});
  expect_mentions(refusal_of_set("optimizer.learning_rate=1e-3x"), {"'1e-3x'"});
  expect_mentions(refusal_of_set("optimizer.learning_rate=nan"), {"'nan'"});
  expect_mentions(refusal_of_set("train.batch_size=1e400"), {"'1e400'"});
}

TEST(Settings, ValuesOutOfRangeNameTheRange) {
  expect_mentions(refusal_of_set("lora.rank=0"), {"lora.rank", "'0'", "1 to 65536"});
  expect_mentions(refusal_of_set("lora.dropout=1"), {"lora.dropout", "'1'", "below 1"});
  expect_mentions(refusal_of_set("optimizer.epsilon=0"), {"above 0"});
  expect_mentions(refusal_of_set("train.duration=0 steps"), {"'0 steps'", "above 0"});
  expect_mentions(refusal_of_set("train.duration=1.5 steps"), {"'1.5 steps'"});
  expect_mentions(refusal_of_set("method=half"), {"'half'", "full or lora"});
  expect_mentions(refusal_of_set("optimizer.betas=0.9,1"), {"'1'", "below 1"});
  expect_mentions(refusal_of_yaml("data.train: [{path: a, weight: 0}]"), {"data.train", "'0'", "above 0"});
  EXPECT_NO_THROW(Settings(train_table()).set("lora.rank=65536"));
}

TEST(Settings, LaterGoesOverEarlierAndEachValueKnowsItsSource) {
  Settings settings = read("lora:\n  rank: 4\n  dropout: 0.5\n");
  settings.set("lora.rank=8");
  EXPECT_EQ(settings.get<int64_t>("lora.rank"), 8);
  EXPECT_EQ(settings.source("lora.rank"), "--set lora.rank=8");
  EXPECT_EQ(settings.source("lora.dropout"), "run.yaml:3");
  EXPECT_EQ(settings.source("lora.alpha"), "default");
  EXPECT_TRUE(settings.is_default("lora.alpha"));
}

TEST(Settings, KeysGivenTwiceAreRefused) {
  expect_mentions(refusal_of_yaml("method: full\nmethod: lora\n"), {"method", "run.yaml:1", "run.yaml:2"});
  expect_mentions(refusal_of_yaml("lora: {rank: 1}\nlora.rank: 2\n"),
                  {"lora.rank", "run.yaml:1", "run.yaml:2"});
  expect_mentions(refusal_of_yaml("lora: {rank: 1}\nlora: {alpha: 2}\n"), {"lora", "twice"});
  expect_mentions(refusal_of_yaml("model.config: {a: {b: 1, b: 2}}\n"), {"model.config.a.b", "twice"});
  expect_mentions(refusal_of_yaml("data.held_out: [{name: a, name: b, path: c}]\n"), {"second", "name"});
}

TEST(Settings, AnchorsAndMergeKeysWork) {
  const Settings settings = read(
      "data.train: [&corpus {path: a, weight: 2}]\n"
      "lora: &lora {rank: 4, dropout: 0.25}\n"
      "data.held_out: [{name: x, path: y}]\n");
  EXPECT_EQ(settings.get<int64_t>("lora.rank"), 4);
  const Settings merged = read("lora:\n  rank: 2\n  <<: {rank: 4, dropout: 0.25}\n");
  EXPECT_EQ(merged.get<int64_t>("lora.rank"), 2);
  EXPECT_EQ(merged.get<double>("lora.dropout"), 0.25);
  expect_mentions(refusal_of_yaml("lora: &x {<<: *x}\n"), {"run.yaml"});
  expect_mentions(refusal_of_yaml("model.config: &x {a: *x}\n"), {"model.config"});
}

TEST(Settings, ListsComeNestedSingleOrFromTheCommandLine) {
  Settings settings = read(
      "data:\n"
      "  train:\n"
      "    - a.txt\n"
      "    - {path: b, weight: 2.5}\n"
      "  held_out:\n"
      "    - name: prose\n"
      "      path: p\n"
      "lora.target_modules: q_proj\n");
  EXPECT_EQ(settings.get<std::vector<WeightedPath>>("data.train"),
            (std::vector<WeightedPath>{{"a.txt", 1}, {"b", 2.5}}));
  EXPECT_EQ(settings.get<std::vector<NamedPath>>("data.held_out"), (std::vector<NamedPath>{{"prose", "p"}}));
  EXPECT_EQ(settings.get<Texts>("lora.target_modules"), (Texts{"q_proj"}));
  settings.set("lora.target_modules=q_proj,v_proj");
  EXPECT_EQ(settings.get<Texts>("lora.target_modules"), (Texts{"q_proj", "v_proj"}));
  settings.set("data.train=[{path: \"x,y\", weight: 1}, z]");
  EXPECT_EQ(settings.get<std::vector<WeightedPath>>("data.train"),
            (std::vector<WeightedPath>{{"x,y", 1}, {"z", 1}}));
  settings.set("data.extensions=");
  EXPECT_TRUE(settings.get<Texts>("data.extensions").empty());
  expect_mentions(refusal_of_set("data.train=[a"), {"data.train", "YAML"});
  expect_mentions(refusal_of_set("data.held_out=[{path: a}]"), {"without a name"});
  expect_mentions(refusal_of_set("data.train=[{weight: 1}]"), {"without a path"});
  expect_mentions(refusal_of_set("data.train=[{pth: a}]"), {"'pth'"});
}

TEST(Settings, AModelWrittenInPlaceIsJsonAndCanBeChangedKeyByKey) {
  Settings settings = read(
      "model.config: {hidden_size: 64, rms_norm_eps: 1e-5, rope_theta: 10000.0, tie: true, name: \"12\",\n"
      "               rope_scaling: {factor: 8}, none: null, list: [1, a]}\n");
  settings.set("model.config.rope_scaling.factor=4");
  settings.set("model.config.extra=yes please");
  EXPECT_EQ(settings.get<PathOrMap>("model.config").json,
            R"({"hidden_size":64,"rms_norm_eps":1e-05,"rope_theta":10000.0,"tie":true,"name":"12",)"
            R"("rope_scaling":{"factor":4},"none":null,"list":[1,"a"],"extra":"yes please"})");
  EXPECT_THROW(settings.set("model.config.hidden_size.x=1"), ConfigError);
  settings.set("model.config=some/config.json");
  EXPECT_EQ(settings.get<PathOrMap>("model.config"), (PathOrMap{"some/config.json", ""}));
  EXPECT_THROW(settings.set("model.config.hidden_size=1"), ConfigError);
}

TEST(Settings, FilesThatAreNotAConfigurationAreRefused) {
  expect_mentions(refusal_of_yaml("lora: {rank: 3\n"), {"run.yaml", "line"});
  expect_mentions(refusal_of_yaml("- a\n- b\n"), {"map of options"});
  expect_mentions(refusal_of_yaml("method: full\n---\nmethod: lora\n"), {"more than one"});
  expect_mentions(refusal_of_yaml("? [a, b]\n: c\n"), {"a key must be a word"});
  EXPECT_NO_THROW(read(""));
  EXPECT_NO_THROW(read("# nothing\n"));
  EXPECT_NO_THROW(read("lora:\n# rank: 3\n"));
  expect_mentions(refusal([] { Settings(train_table()).read_file("/no/such.yaml"); }), {"/no/such.yaml"});
  expect_mentions(refusal([] { Settings(train_table()).read_file(testing::TempDir()); }), {"folder"});
  expect_mentions(refusal_of_set("lora.rank"), {"key=value"});
}

TEST(Settings, WrittenAsYamlTheyReadBackTheSame) {
  Settings settings = read(
      "data.train: [\"a: b\", {path: \"#c, d\", weight: 0.1}]\nmodel.config: {a: [1, {b: c}]}\n"
      "train.duration: 1.5 epochs\noptimizer.learning_rate: 0.1\ndata.text_key: \"~\"\noutput: \"a\\nb\"\n"
      "data.extensions: [.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, .bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, .c, "
      "\"\"]\n");
  Settings again(train_table());
  again.read_text(settings.as_yaml(), "again.yaml");
  for (const Option& option : train_table().options()) {
    EXPECT_TRUE(settings.value(option.name) == again.value(option.name)) << option.name;
  }
}

TEST(Settings, NumbersAndDurationsAreReadWhole) {
  Settings settings(train_table());
  settings.set("train.batch_size=1e3");
  EXPECT_EQ(settings.get<int64_t>("train.batch_size"), 1000);
  settings.set("train.seed=9223372036854775807");
  EXPECT_EQ(settings.get<int64_t>("train.seed"), INT64_MAX);
  settings.set("train.duration=5e6 tokens");
  EXPECT_EQ(settings.get<Duration>("train.duration"), (Duration{5e6, Duration::Unit::tokens}));
  settings.set("train.duration=1 step");
  EXPECT_EQ(settings.get<Duration>("train.duration"), (Duration{1, Duration::Unit::steps}));
  settings.set("train.duration=0.5epochs");
  EXPECT_EQ(settings.get<Duration>("train.duration"), (Duration{0.5, Duration::Unit::epochs}));
  EXPECT_THROW(settings.get<double>("train.seed"), std::logic_error);
  EXPECT_THROW(settings.get<double>("train.sead"), std::logic_error);
}

TEST(TrainOptions, DefaultsThatDependOnOthersAreResolved) {
  Settings settings = complete();
  settings.set("lora.rank=32");
  settings.set("lora.target_modules=up_proj,q_proj");
  TrainOptions options = train_options(settings);
  EXPECT_EQ(options.lora.alpha, 64);
  EXPECT_EQ(options.lora.target_modules, (Texts{"q_proj", "up_proj"}));
  EXPECT_EQ(options.data.tokenizer, "m");
  EXPECT_EQ(options.optimizer.beta2, 0.95);
  settings.set("optimizer.name=lion");
  settings.set("lora.alpha=7");
  settings.set("lora.target_modules=all");
  settings.set("schedule.warmup=10 steps");
  options = train_options(settings);
  EXPECT_EQ(options.optimizer.beta2, 0.99);
  EXPECT_EQ(options.lora.alpha, 7);
  EXPECT_EQ(options.lora.target_modules, lora_modules());
  EXPECT_EQ(options.schedule.scale, (Duration{10, Duration::Unit::steps}));
}

TEST(TrainOptions, CombinationsThatCannotBeAreRefused) {
  const auto with = [](const Texts& assignments) {
    return refusal([&] {
      Settings settings = complete();
      for (const std::string& assignment : assignments) {
        settings.set(assignment);
      }
      train_options(settings);
    });
  };
  expect_mentions(with({"model.path="}), {"model.path"});
  expect_mentions(with({"model.config=c.json"}), {"model.path", "model.config"});
  expect_mentions(with({"model.path=", "model.config=c.json", "data.train=text"}), {"data.tokenizer"});
  expect_mentions(with({"train.micro_batch_size=3"}), {"train.micro_batch_size", "3", "8"});
  expect_mentions(with({"optimizer.betas=0.9"}), {"optimizer.betas"});
  expect_mentions(with({"lora.target_modules=all,q_proj"}), {"lora.target_modules"});
  expect_mentions(with({"lora.target_modules=q_proj,q_proj"}), {"lora.target_modules"});
  expect_mentions(with({"lora.target_modules="}), {"lora.target_modules"});
  expect_mentions(with({"schedule.name=inverse_sqrt"}), {"schedule.scale"});
  expect_mentions(with({"data.held_out=[{name: a, path: b}, {name: a, path: c}]"}), {"data.held_out", "a"});
}

TEST(StudyOptions, TheRunsAreFullFineTuningThenLoraAtEachRank) {
  Settings settings(study_table());
  settings.set("study.ranks=2,8");
  const auto runs = study_options(settings).runs();
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].label, "full");
  EXPECT_EQ(runs[2].label, "lora-r8");
  EXPECT_EQ(runs[2].rank, 8);
}

TEST(StudyOptions, ShapesThatCannotBeAreRefused) {
  for (const char* assignment :
       {"study.heads=7", "study.hidden_size=6", "study.kv_heads=4", "study.ranks=", "study.ranks=4,4",
        "study.learning_rates_full=", "study.target_name=prose"}) {
    Settings settings(study_table());
    settings.set(assignment);
    EXPECT_THROW(study_options(settings), ConfigError) << assignment;
  }
}

}  // namespace
}  // namespace lethe
