// What `lethe train` and `lethe plan` are asked to do, typed and checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/options/settings.h"

namespace lethe {

struct TrainOptions {
  struct Model {
    std::string path;         // Hugging Face folder; empty: a fresh model
    std::string config_path;  // config.json of a fresh model,
    std::string config_json;  // or its content
    int64_t initial_seed = 0;
  } model;
  std::string method;  // full, lora
  struct Lora {
    int64_t rank = 0;
    double alpha = 0;  // resolved: 2 * rank unless given
    double dropout = 0;
    bool use_rslora = false;
    std::vector<std::string> target_modules;  // resolved: the seven in the model's order, then other names
    std::string target_expression;            // in place of target_modules
    std::vector<std::string> exclude_modules;
    std::vector<int64_t> layers_to_transform;
    std::vector<std::string> layers_pattern;
    std::vector<std::pair<std::string, int64_t>> rank_pattern;
    std::vector<std::pair<std::string, double>> alpha_pattern;
    std::vector<std::string> modules_to_save;
    bool use_dora = false;
    std::string init = "kaiming";  // or gaussian, pissa
    int64_t pissa_passes = 16;     // 0: the whole decomposition
    double plus_ratio = 1;         // LoRA+: the learning rate of B over that of A
  } lora;
  struct Data {
    std::vector<WeightedPath> train;
    std::vector<NamedPath> held_out;
    double held_out_fraction = 0;
    std::string tokenizer;  // resolved: the model's folder unless given
    std::string text_key;
    std::string format;  // auto, text, jsonl, folder
    std::vector<std::string> extensions;
    int64_t sequence_length = 0;  // tokens
    std::string packing;          // stream, pack; resolved
    bool document_mask = false;
    int64_t shuffle_seed = 0;
    std::string cache_dir;
    bool add_bos = false;
    double mixing_temperature = 0;         // 0: weights alone
    std::string chat_template;             // name or file; empty: texts alone
    std::string records;                   // see InstructionOptions
    std::string prompt_key, response_key;  // both or neither
    std::string loss = "responses";        // or all
    std::string too_long = "refuse";       // or drop, cut
  } data;
  struct Train {
    Duration duration;
    int64_t batch_size = 0, micro_batch_size = 0;  // sequences; the second divides the first
    int64_t seed = 0;
    double max_gradient_norm = 0;    // 0: no clipping
    double attention_dropout = -1;   // -1: the model's own
    std::string gradients = "auto";  // or float32, bfloat16
    std::string recompute;           // see recompute_from
    int64_t recompute_layers = 0;    // 0: all
    bool deterministic = false;
    bool graph = true;  // replay programs on a GPU
    int64_t eval_every = 0, eval_batches = 0, save_every = 0, keep_checkpoints = 0, log_every = 0;
    std::string checkpoint_async = "auto";  // or true, false
    bool tuned_products = true;
  } train;
  struct Eval {
    int64_t every = 0;                              // steps; 0: never
    std::vector<std::string> tasks;                 // benchmarks
    std::vector<std::string> data;                  // folders of their files
    std::string protocol;                           // lm-eval, gauntlet
    int64_t shots = -1;                             // -1: a task's own
    int64_t limit = 0;                              // documents of a task; 0: all
    std::vector<std::string> divergence;            // names of held-out texts
    std::vector<std::string> learning, forgetting;  // names of measures
    double stop_when_forgotten = 0;                 // 0: never
    bool keep_best = false;
    double max_share_of_time = 0;  // 0: any
  } eval;
  struct Optimizer {
    std::string name;  // adamw, decoupled_adamw, lion
    double learning_rate = 0;
    double beta1 = 0, beta2 = 0;  // resolved: the optimizer's own unless given
    double epsilon = 0, weight_decay = 0;
    std::string state = "auto";  // or float32, bfloat16
  } optimizer;
  struct Schedule {
    std::string name;  // cosine, inverse_sqrt, linear, constant
    Duration warmup, cooldown;
    double alpha_f = 0;
    Duration scale;  // resolved: the warm-up's length unless given
    double alpha_f_decay = 0, alpha_f_cooldown = 0;
  } schedule;
  struct Distributed {
    std::string engine = "auto";    // self, mpi, nccl
    std::string sharding = "none";  // zero1, zero2, zero3
    int64_t bucket_mb = 64;
  } distributed;
  std::string precision;        // float32, bfloat16, float64
  std::string device = "auto";  // or cpu, cuda, cuda:N
  int64_t threads = 0;          // 0: all cores
  double memory_budget_gb = 0;
  std::string output;
};

// The seven linear maps that LoRA can adapt, in the order of a block's forward pass.
const std::vector<std::string>& lora_modules();

const OptionTable& train_table();

// Checks what no single option can say (exactly one of model.path and model.config, a micro-batch that
// divides the batch, ...) and resolves defaults that depend on other options. Throws ConfigError. Reads no
// file.
TrainOptions train_options(const Settings& settings);

// "all" (or "all-linear") or names of modules -> the seven among them in the model's order, then the others.
// Throws ConfigError naming `name` for none, for a repeated one or for "all" beside others.
std::vector<std::string> resolve_target_modules(const Settings& settings, std::string_view name);

}  // namespace lethe
