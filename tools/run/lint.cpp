#include "tools/run/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/files/json_file.h"

namespace lethe {
namespace {

using nlohmann::json;

constexpr const char* kNotLoaded = "not loaded";
constexpr const char* kOtherwise = "computes otherwise";

class Linter {
 public:
  Linter(const json& adapter, const std::optional<LlamaConfig>& model) : adapter_(adapter), model_(model) {}

  std::vector<LintFinding> found;

  void peft() {
    target_ = "peft";
    // peft/utils/other.py, ModulesToSaveWrapper: a copy of the module is trained; what it was tied to stays.
    if (model_ && model_->tie_word_embeddings) {
      for (const std::string& name : texts("modules_to_save")) {
        if (is_end_of("lm_head", name) || is_end_of("model.embed_tokens", name)) {
          add("modules_to_save", kOtherwise,
              fmt::format("'{}' is tied to the other end of the model, which would stay as it was", name));
        }
      }
    }
    // peft/tuners/tuners_utils.py, check_target_module_exists: layers are chosen of list entries alone.
    if (is_set("layers_to_transform") && value("target_modules").is_string() && !all_linear())
      add("layers_to_transform", kNotLoaded, "needs target_modules as a list");
    // peft/tuners/lora/layer.py: the base is changed again when the adapter is loaded; with a randomised
    // decomposition it becomes another base than the one that was trained on.
    if (text("init_lora_weights").starts_with("pissa_niter"))
      add("init_lora_weights", kOtherwise,
          "a randomised decomposition of the base, which PEFT draws anew: convert it to plain LoRA");
  }

  void vllm() {
    target_ = "vllm";
    // vllm/lora/peft_helper.py, _validate_features and validate_legal.
    if (is_set("modules_to_save")) add("modules_to_save", kNotLoaded, "vLLM takes None alone: merge it");
    if (is_true("use_dora")) add("use_dora", kNotLoaded, "vLLM does not support DoRA: merge it");
    if (is_set("bias") && text("bias") != "none") add("bias", kNotLoaded, "vLLM takes \"none\" alone");
    // vllm/config/lora.py, MaxLoRARanks: --max-lora-rank is at most 512, and 16 if not given.
    constexpr int64_t most = 512, usual = 16;
    if (largest_rank() > most) {
      add("r", kNotLoaded, fmt::format("the largest rank, {}, is above {}", largest_rank(), most));
    } else if (largest_rank() > usual) {
      add("r", "", fmt::format("needs --max-lora-rank {} or more", largest_rank()));
    }
    // vllm/lora/peft_helper.py: one scale for all modules, of r and lora_alpha; both patterns are not read.
    for (const char* key : {"rank_pattern", "alpha_pattern"})
      if (is_set(key)) add(key, kOtherwise, "vLLM scales every module by lora_alpha and r");
    // vllm/lora/utils.py and models/llama.py, embedding_modules: the head's adapter is loaded, but
    // vllm/lora/layers/logits_processor.py refuses vocabularies outside (32000, 257024].
    if (targets("lm_head") && model_ && (model_->vocab_size <= 32000 || model_->vocab_size > 257024)) {
      add("target_modules", kNotLoaded,
          fmt::format("lm_head with a vocabulary of {}, where vLLM takes 32001 to 257024",
                      model_->vocab_size));
    }
    if (text("init_lora_weights").starts_with("pissa")) base_is_changed();
  }

  void llama_cpp() {
    target_ = "llama.cpp";
    // convert_lora_to_gguf.py, get_tensors: anything but lora_A, lora_B and norms ends the conversion.
    if (is_true("use_dora")) {
      add("use_dora", kNotLoaded, "lora_magnitude_vector is neither a lora_A nor a lora_B tensor: merge it");
    }
    for (const std::string& name : texts("modules_to_save")) {
      if (is_end_of("lm_head", name) || is_end_of("model.embed_tokens", name))
        add("modules_to_save", kNotLoaded,
            fmt::format("'{}' is an embedding in the adapter: merge it", name));
    }
    if (is_set("bias") && text("bias") != "none") add("bias", kNotLoaded, "biases are no lora_A or lora_B");
    // src/llama-adapter.h, llama_adapter_lora_weight::get_scale: alpha / rank of each tensor, alpha being the
    // one number that the converter stored (adapter.lora.alpha).
    if (is_true("use_rslora")) {
      add("use_rslora", kOtherwise, "llama.cpp scales by alpha / r, not alpha / sqrt(r)");
    }
    if (is_set("alpha_pattern")) add("alpha_pattern", kOtherwise, "one lora_alpha holds for all modules");
    if (text("init_lora_weights").starts_with("pissa")) base_is_changed();
  }

 private:
  void base_is_changed() {
    add("init_lora_weights", kOtherwise, "the adapter belongs to a base that its initialisation changed");
  }

  void add(const char* key, const char* outcome, std::string why) {
    found.push_back({target_, key, short_text(value(key)), outcome, std::move(why)});
  }

  json value(const char* key) const {
    const auto found_at = adapter_.find(key);
    return found_at == adapter_.end() ? json(nullptr) : *found_at;
  }
  bool is_set(const char* key) const {
    const json v = value(key);
    return !v.is_null() && v != json(false) && v != json("") &&
           !((v.is_array() || v.is_object()) && v.empty());
  }
  bool is_true(const char* key) const { return value(key) == json(true); }
  std::string text(const char* key) const {
    const json v = value(key);
    return v.is_string() ? v.get<std::string>() : "";
  }
  std::vector<std::string> texts(const char* key) const {
    const json v = value(key);
    std::vector<std::string> list;
    if (v.is_string()) list.push_back(v.get<std::string>());
    for (const json& entry : v.is_array() ? v : json::array())
      if (entry.is_string()) list.push_back(entry.get<std::string>());
    return list;
  }
  bool all_linear() const { return text("target_modules") == "all-linear"; }
  bool targets(const std::string& module) const {
    return std::ranges::any_of(texts("target_modules"), [&](const std::string& t) {
      return t == module || t.ends_with("." + module);
    });
  }
  static bool is_end_of(const std::string& module, const std::string& end) { return module.ends_with(end); }

  int64_t largest_rank() const {
    int64_t most = value("r").is_number_integer() ? value("r").get<int64_t>() : 8;
    const json pattern = value("rank_pattern");
    for (const json& rank : pattern.is_object() ? pattern : json::object())
      if (rank.is_number_integer()) most = std::max(most, rank.get<int64_t>());
    return most;
  }

  const json& adapter_;
  const std::optional<LlamaConfig>& model_;
  std::string target_;
};

}  // namespace

const std::vector<std::string>& lint_targets() {
  static const std::vector<std::string> targets = {"peft", "vllm", "llama.cpp"};
  return targets;
}

std::vector<LintFinding> lint_adapter(const json& adapter, const std::optional<LlamaConfig>& model,
                                      const std::vector<std::string>& targets) {
  Linter linter(adapter, model);
  for (const std::string& target : targets) {
    if (target == "peft") {
      linter.peft();
    } else if (target == "vllm") {
      linter.vllm();
    } else if (target == "llama.cpp") {
      linter.llama_cpp();
    } else {
      throw RequestError(fmt::format("--for: '{}' is none of {}", target, fmt::join(lint_targets(), ", ")));
    }
  }
  return linter.found;
}

}  // namespace lethe
