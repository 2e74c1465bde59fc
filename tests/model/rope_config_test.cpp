#include "model/rope_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kernels/rope.h"
#include "tests/files.h"

namespace lethe {
namespace {

using nlohmann::json;
using test::expect_parts;
using test::message_of;

RopeConfig parsed(const json& config, bool any_yarn_factor = false) {
  return parse_rope("config.json", config, 32768, any_yarn_factor);
}

void expect_refused(const json& config, std::vector<std::string> parts) {
  SCOPED_TRACE(config.dump());
  parts.push_back("config.json: ");
  expect_parts(message_of<FormatError>([&] { parsed(config); }), parts);
}

const json llama3 = {{"rope_type", "llama3"},
                     {"factor", 8},
                     {"low_freq_factor", 1.0},
                     {"high_freq_factor", 4.0},
                     {"original_max_position_embeddings", 8192}};
const json yarn = {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 8192}};

json changed(json object, const std::string& key, const json& value) {
  object[key] = value;
  return object;
}

TEST(RopeConfig, theta_is_found_in_each_place) {
  EXPECT_EQ(parsed(json::object()).theta, 10000.0);
  EXPECT_EQ(parsed({{"rope_theta", 5e5}}).theta, 5e5);
  EXPECT_EQ(parsed({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}}}).theta, 5e5);
  EXPECT_EQ(parsed({{"rope_scaling", changed(llama3, "rope_theta", 5e5)}}).theta, 5e5);
}

TEST(RopeConfig, the_older_key_type_and_empty_objects_are_understood) {
  EXPECT_EQ(parsed({{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}}).scaling.type,
            RopeScaling::Type::linear);
  EXPECT_EQ(parsed({{"rope_scaling", json::object()}}).scaling, RopeScaling{});
  EXPECT_EQ(parsed({{"rope_scaling", nullptr}}).scaling, RopeScaling{});
}

TEST(RopeConfig, the_original_length_may_stand_outside_the_object) {
  json object = llama3;
  object.erase("original_max_position_embeddings");
  const json config = {{"rope_scaling", object}, {"original_max_position_embeddings", 4096}};
  EXPECT_EQ(parsed(config).scaling.original_max_position_embeddings, 4096);
  expect_refused({{"rope_scaling", object}}, {"original_max_position_embeddings", "missing"});
  expect_refused({{"rope_scaling", llama3}, {"original_max_position_embeddings", 4096}}, {"4096", "8192"});
}

TEST(RopeConfig, parameters_of_equal_layers_are_one) {
  const json both = {{"full_attention", llama3}, {"sliding_attention", llama3}};
  EXPECT_EQ(parsed({{"rope_parameters", both}}).scaling.type, RopeScaling::Type::llama3);
  const json differing = {{"full_attention", llama3}, {"sliding_attention", yarn}};
  expect_refused({{"rope_parameters", differing}}, {"rope_parameters", "layer to layer"});
}

TEST(RopeConfig, what_contradicts_itself_is_refused) {
  expect_refused({{"rope_scaling", {{"type", "linear"}, {"rope_type", "yarn"}, {"factor", 2}}}},
                 {"rope_scaling.rope_type", "yarn", "linear"});
  expect_refused({{"rope_theta", 1e4}, {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}}},
                 {"rope_theta", "10000", "500000", "rope_parameters"});
  expect_refused({{"rope_scaling", llama3}, {"rope_parameters", {{"rope_type", "default"}}}},
                 {"contradicts rope_parameters"});
  expect_refused({{"rope_scaling", nullptr}, {"rope_parameters", llama3}}, {"contradicts rope_parameters"});
}

TEST(RopeConfig, dynamic_scaling_is_kept_and_changes_nothing_within_the_context) {
  const RopeConfig rope = parsed({{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}}});
  EXPECT_EQ(rope.scaling.type, RopeScaling::Type::dynamic);
  EXPECT_EQ(rope.scaling.factor, 2.0);
  std::vector<double> plain(4), dynamic(4);
  kernels::rope_frequencies(1e4, 8, {}, plain.data());
  kernels::rope_frequencies(1e4, 8, rope.scaling, dynamic.data());
  EXPECT_EQ(plain, dynamic);
  expect_refused({{"rope_scaling", {{"rope_type", "dynamic"}}}}, {"rope_scaling.factor", "missing"});
}

TEST(RopeConfig, types_keys_and_values_that_are_not_understood_are_refused) {
  for (const char* type : {"longrope", "proportional", "su", "mrope"}) {
    expect_refused({{"rope_scaling", {{"rope_type", type}, {"factor", 2.0}}}},
                   {"rope_scaling.rope_type", type});
  }
  expect_refused({{"rope_scaling", 7}}, {"rope_scaling", "7", "object"});
  expect_refused({{"rope_scaling", changed(llama3, "extra", 1)}}, {"rope_scaling.extra", "1", "llama3"});
  expect_refused({{"rope_scaling", changed(yarn, "finetuned", true)}}, {"rope_scaling.finetuned", "true"});
  expect_refused({{"rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}}},
                 {"rope_parameters.partial_rotary_factor", "0.5"});
  expect_refused({{"rope_scaling", changed(llama3, "high_freq_factor", 1.0)}},
                 {"high_freq_factor", "low_freq_factor"});
  for (const char* key : {"factor", "low_freq_factor", "high_freq_factor"}) {
    expect_refused({{"rope_scaling", changed(llama3, key, nullptr)}},
                   {std::string("rope_scaling.") + key, "missing"});
    expect_refused({{"rope_scaling", changed(llama3, key, 0)}},
                   {std::string("rope_scaling.") + key, "above 0"});
  }
  expect_refused({{"rope_scaling", changed(yarn, "factor", nullptr)}}, {"rope_scaling.factor", "missing"});
}

TEST(RopeConfig, a_yarn_factor_that_releases_read_differently_needs_a_word_from_its_owner) {
  EXPECT_EQ(parsed({{"rope_scaling", yarn}}).scaling.factor, 4.0);
  const json odd = {{"rope_scaling", changed(yarn, "factor", 2.0)}};
  expect_refused(odd, {"rope_scaling.factor", "2", "8192", "16384", "32768"});
  EXPECT_EQ(parsed(odd, true).scaling.factor, 2.0);
  json bare = yarn;
  bare.erase("original_max_position_embeddings");
  EXPECT_EQ(parsed({{"rope_scaling", bare}}).scaling.original_max_position_embeddings, 32768);
}

TEST(RopeConfig, zero_and_null_betas_are_yarns_defaults) {
  const RopeScaling scaling =
      parsed({{"rope_scaling", changed(changed(yarn, "beta_fast", 0), "beta_slow", nullptr)}}).scaling;
  EXPECT_EQ(scaling.beta_fast, 32.0);
  EXPECT_EQ(scaling.beta_slow, 1.0);
}

}  // namespace
}  // namespace lethe
