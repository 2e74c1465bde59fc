// The chat templates that are built in. Llama-2, Llama-3, ChatML and Mistral are what the models' own Jinja
// templates render (tests/golden/chat); Alpaca's words are Taori et al.'s, which MetaMath (Yu et al. 2023)
// took over, Magicoder's are Wei et al.'s (2023).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "data/chat_template.h"
#include "engine/error.h"

namespace lethe {
namespace {

constexpr const char* table = R"json([
{
  "name": "llama-2",
  "system": {"prefix": "<<SYS>>\n", "suffix": "\n<</SYS>>\n\n"},
  "user": {"prefix": "{bos}[INST] ", "suffix": " [/INST]"},
  "assistant": {"lead": " ", "suffix": " {eos}"},
  "fold_system": true, "trim": true, "alternate": true
},
{
  "name": "llama-3",
  "special_tokens": ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
  "begin": "{bos}",
  "system": {"prefix": "<|start_header_id|>system<|end_header_id|>\n\n", "suffix": "<|eot_id|>"},
  "user": {"prefix": "<|start_header_id|>user<|end_header_id|>\n\n", "suffix": "<|eot_id|>"},
  "assistant": {"prefix": "<|start_header_id|>assistant<|end_header_id|>\n\n", "suffix": "<|eot_id|>"},
  "trim": true
},
{
  "name": "chatml",
  "special_tokens": ["<|im_start|>", "<|im_end|>"],
  "system": {"prefix": "<|im_start|>system\n", "suffix": "<|im_end|>\n"},
  "user": {"prefix": "<|im_start|>user\n", "suffix": "<|im_end|>\n"},
  "assistant": {"prefix": "<|im_start|>assistant\n", "suffix": "<|im_end|>\n"}
},
{
  "name": "mistral",
  "begin": "{bos}",
  "user": {"prefix": "[INST] ", "suffix": " [/INST]"},
  "assistant": {"suffix": "{eos}"},
  "alternate": true
},
{
  "name": "mistral-system",
  "begin": "{bos}",
  "system": {"suffix": "\n\n"},
  "user": {"prefix": " [INST] ", "suffix": " [/INST]"},
  "assistant": {"lead": " ", "suffix": "{eos}"},
  "fold_system": true, "alternate": true
},
{
  "name": "alpaca",
  "user": {
    "prefix": "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n",
    "suffix": "\n\n### Response:"
  },
  "user_with_input": {
    "prefix": "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n",
    "between": "\n\n### Input:\n",
    "suffix": "\n\n### Response:"
  },
  "assistant": {"suffix": "{eos}"},
  "single_turn": true, "add_bos": true
},
{
  "name": "metamath",
  "base": "alpaca",
  "first_line": true
},
{
  "name": "magicoder",
  "user": {
    "prefix": "You are an exceptionally intelligent coding assistant that consistently delivers accurate and reliable responses to user instructions.\n\n@@ Instruction\n",
    "suffix": "\n\n@@ Response\n"
  },
  "assistant": {"suffix": "{eos}"},
  "single_turn": true, "add_bos": true, "separate": true
},
{
  "name": "plain",
  "assistant": {"suffix": "{eos}"},
  "single_turn": true, "add_bos": true, "content_tokens": true
}
])json";

const nlohmann::json& built_in_table() {
  static const nlohmann::json parsed = nlohmann::json::parse(table);
  return parsed;
}

}  // namespace

std::vector<std::string> ChatTemplate::names() {
  std::vector<std::string> names;
  for (const auto& entry : built_in_table()) names.push_back(entry.at("name"));
  return names;
}

ChatTemplate ChatTemplate::built_in(const std::string& name) {
  for (const auto& entry : built_in_table()) {
    if (entry.at("name") == name) return from_json(entry, "built-in chat templates");
  }
  throw ConfigError("data.chat_template",
                    fmt::format("\"{}\" is neither a file nor one of {}", name, fmt::join(names(), ", ")));
}

}  // namespace lethe
