// The golden vectors of the harnesses' own functions, and the data they were made on, beside the checkout.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lethe::test {

inline const std::string kEvalData = std::string(LETHE_SHARED_DATA) + "/eval";

class Vectors : public testing::Test {
 protected:
  void SetUp() override {
    const std::string file = std::string(LETHE_SHARED_DATA) + "/../spec/eval_vectors.json";
    if (!std::filesystem::exists(file)) GTEST_SKIP() << "no ../shared/spec beside the checkout";
    static const nlohmann::json all = nlohmann::json::parse(std::ifstream(file));
    vectors_ = &all;
  }
  const nlohmann::json& at(const std::string& key) const { return vectors_->at(key); }
  // In the order of the alphabet.
  std::vector<std::string> keys() const {
    std::vector<std::string> found;
    for (const auto& [key, value] : vectors_->items()) found.push_back(key);
    return found;
  }

 private:
  const nlohmann::json* vectors_ = nullptr;
};

}  // namespace lethe::test
