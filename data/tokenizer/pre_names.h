// llama.cpp's names for how text is cut before byte-level merging.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lethe {

// The part of a tokenizer.json that the name stands for; null for an unknown one.
nlohmann::json pre_tokenizer_named(const std::string& pre);

}  // namespace lethe
