// The options of a training configuration. docs/options.md is generated from here.
#include "tools/options/train_options.h"

namespace lethe {
namespace {

using Type = OptionType;

std::vector<Option> model_options() {
  return {
      {"model.path", Type::path, "", AnyValue{},
       "The model to start from: a Hugging Face folder (config.json and safetensors), a GGUF file, or "
       "OWNER/NAME "
       "at the hub. Exactly one of model.path and model.config is given."},
      {"model.config", Type::path_or_map, "", AnyValue{},
       "Shape of a fresh model: the path of a config.json, or its keys written in place."},
      {"model.initial_seed", Type::integer, "0", at_least(0), "Seed of a fresh model's initial weights."},
      {"method", Type::text, "full", Choices{{"full", "lora"}},
       "What is trained: every weight, or low-rank factors beside frozen weights (LoRA, Hu et al. 2021)."},
      {"lora.rank", Type::integer, "16", between(1, 65536), "Rank r of the factors."},
      {"lora.alpha", Type::number, "0", at_least(0),
       "Numerator of LoRA's scale, alpha / r; 0 stands for 2 * lora.rank."},
      {"lora.dropout", Type::number, "0", from_to_below(0, 1),
       "Probability that an element of the input of the factors is zeroed in training."},
      {"lora.use_rslora", Type::boolean, "false", AnyValue{},
       "Scale by alpha / sqrt(r) instead of alpha / r (rsLoRA, Kalajdzievski 2023)."},
      {"lora.target_modules", Type::text_list, "all", AnyValue{},
       "Linear maps that get factors: all, or a list of names. A name is a module's own, such as q_proj, or "
       "the end of "
       "its path from a dot on, such as layers.3.mlp.up_proj."},
      {"lora.target_expression", Type::text, "", AnyValue{},
       "Python regular expression that a module's whole path must match, in place of lora.target_modules."},
      {"lora.exclude_modules", Type::text_list, "[]", AnyValue{}, "Names of modules that get no factors."},
      {"lora.layers_to_transform", Type::integer_list, "[]", at_least(0),
       "Of what lora.target_modules names, these layers alone."},
      {"lora.layers_pattern", Type::text_list, "[]", AnyValue{},
       "Expressions of what stands before a layer's number, where lora.layers_to_transform is given."},
      {"lora.rank_pattern", Type::text_list, "[]", AnyValue{},
       "EXPRESSION=RANK: modules whose path, or its end from a dot on, matches get a rank of their own; the "
       "first that "
       "matches counts."},
      {"lora.alpha_pattern", Type::text_list, "[]", AnyValue{}, "EXPRESSION=ALPHA, likewise."},
      {"lora.modules_to_save", Type::text_list, "[]", AnyValue{},
       "Ends of the paths of modules that are trained whole and saved in the adapter: embed_tokens, lm_head, "
       "norms."},
      {"lora.use_dora", Type::boolean, "false", AnyValue{},
       "Also train a magnitude for each output of an adapted map (DoRA, Liu et al. 2024)."},
      {"lora.init", Type::text, "kaiming", Choices{{"kaiming", "gaussian", "pissa"}},
       "How A begins: uniform in +-1/sqrt(inputs), or normal with standard deviation 1 / rank, B as zero. "
       "pissa: both as the largest singular parts of the weight, which keeps the rest (PiSSA, Meng et al. "
       "2024); the adapter written has twice the rank and fits the untouched base."},
      {"lora.pissa_passes", Type::integer, "16", at_least(0),
       "Passes of the search for those parts; 0: LAPACK's whole decomposition, which takes long for wide "
       "maps."},
      {"lora.plus_ratio", Type::number, "1", above(0),
       "Learning rate of B over that of everything else (LoRA+, Hayou et al. 2024; 16 is a common choice)."},
  };
}

std::vector<Option> data_options() {
  return {
      {"data.train", Type::weighted_path_list, "[]", above(0),
       "Files or folders to train on. With weights, the share of each in the stream is its weight over the "
       "sum of "
       "weights; a path alone has weight 1."},
      {"data.held_out", Type::named_path_list, "[]", AnyValue{},
       "Further texts that are never trained on and are measured as training goes, such as the domain the "
       "model "
       "came from."},
      {"data.held_out_fraction", Type::number, "0.01", from_to_below(0, 1),
       "Share of the documents of data.train that is held out from training and measured."},
      {"data.tokenizer", Type::path, "", AnyValue{},
       "tokenizer.json, tokenizer.model, a folder that holds one, or OWNER/NAME at the hub; empty stands for "
       "model.path."},
      {"data.text_key", Type::text, "text", AnyValue{},
       "Key of the text in each line of a JSONL file; column of a Parquet file."},
      {"data.format", Type::text, "auto", Choices{{"auto", "text", "jsonl", "folder"}},
       "How data.train is read; auto goes by each path's ending and kind."},
      {"data.extensions", Type::text_list, "[]", AnyValue{},
       "Endings of the files that are taken from a folder, such as .txt or .py; an empty list takes every "
       "file."},
      {"data.sequence_length", Type::integer, "1024", between(1, 1048576), "Length of a training sequence.",
       "tokens"},
      {"data.packing", Type::text, "auto", Choices{{"auto", "stream", "pack"}},
       "stream cuts the joined documents into sequences; pack fills each sequence with whole documents and "
       "pads the rest. auto: pack where data.chat_template is set, else stream."},
      {"data.document_mask", Type::boolean, "true", AnyValue{},
       "Whether attention stops at document boundaries inside a sequence."},
      {"data.shuffle_seed", Type::integer, "0", at_least(0), "Seed of the order of sequences."},
      {"data.cache_dir", Type::path, ".lethe/cache", AnyValue{},
       "Folder for tokenized data, kept between runs."},
      {"data.add_bos", Type::boolean, "true", AnyValue{},
       "Whether each document begins with the beginning-of-sequence token. A chat template that writes it "
       "itself does so in either case, and never is there a second one."},
      {"data.mixing_temperature", Type::number, "0", at_least(0),
       "0: the shares of several data.train are their weights. T above 0: weight times (tokens)^(1/T), so "
       "that 1 mixes in proportion to size and a large T evenly."},
      {"data.chat_template", Type::text, "", AnyValue{},
       "Turns data.train into instructions: how a conversation is written. llama-2, llama-3, chatml, "
       "mistral, "
       "mistral-system, alpaca, metamath, magicoder, plain (prompts that are rendered already), or the YAML "
       "or "
       "JSON file of one of your own. Empty: texts. Files without instructions stay texts in either case."},
      {"data.records", Type::text, "auto",
       Choices{{"auto", "messages", "prompt", "alpaca", "sharegpt", "columns"}},
       "Shape of the records of instructions; auto goes by each record's keys, columns by data.prompt_key "
       "and "
       "data.response_key."},
      {"data.prompt_key", Type::text, "", AnyValue{},
       "Key of the prompt, where records have keys of their own, such as question."},
      {"data.response_key", Type::text, "", AnyValue{}, "Key of the response, such as answer."},
      {"data.loss", Type::text, "responses", Choices{{"responses", "all"}},
       "What is learned of a conversation: what the assistant says with the end of its turns, or every "
       "token."},
      {"data.too_long", Type::text, "refuse", Choices{{"refuse", "drop", "cut"}},
       "What becomes of a conversation of more than data.sequence_length tokens: the run is refused, the "
       "conversation is left out, or its first tokens stay."},
  };
}

std::vector<Option> train_options_list() {
  return {
      {"train.duration", Type::duration, "1 epochs", above(0), "How long to train."},
      {"train.batch_size", Type::integer, "8", between(1, 16777216), "Sequences per step, over all ranks.",
       "sequences"},
      {"train.micro_batch_size", Type::integer, "1", between(1, 16777216),
       "Sequences computed at once on one device; divides train.batch_size. Smaller needs less memory.",
       "sequences"},
      {"train.seed", Type::integer, "0", at_least(0), "Seed of dropout and of fresh LoRA factors."},
      {"train.max_gradient_norm", Type::number, "1", at_least(0),
       "Gradients are scaled down to this global L2 norm where they exceed it; 0 turns clipping off."},
      {"train.attention_dropout", Type::number, "-1", at_least(-1),
       "Probability that a pair of query and key is left out of attention in training, behind the softmax; "
       "-1: attention_dropout of the model's config.json, which is mostly 0. On a GPU above 0 attention is "
       "not "
       "cuDNN's, and slower."},
      {"train.gradients", Type::text, "auto", Choices{{"auto", "float32", "bfloat16"}},
       "Type of the gradients of matrices. auto: bfloat16 if precision is, and a step has a single "
       "micro-batch "
       "whose gradients need no adding up; else that of float32 or float64 weights. Never narrower than the "
       "trained weights."},
      {"train.recompute", Type::text, "none", Choices{{"none", "rmsnorm", "swiglu", "norms", "mlp", "block"}},
       "What the backward pass computes again instead of keeping: nothing; what norms return; what the gated "
       "units return; both, and dropout (norms); also the MLP's products; or whole blocks."},
      {"train.recompute_layers", Type::integer, "0", at_least(0),
       "How many of the first layers train.recompute holds for, where not all of them need it; 0: all.",
       "layers"},
      {"train.deterministic", Type::boolean, "false", AnyValue{},
       "Whether a run on a GPU gives the same bits each time, at some cost of speed and memory; on the CPU "
       "it "
       "always does."},
      {"train.graph", Type::boolean, "true", AnyValue{},
       "On a GPU: capture each program once and replay it as one; false queues its nodes one by one. Changes "
       "no result."},
      {"train.eval_every", Type::integer, "100", at_least(0),
       "Measure the held-out texts each time so many steps are done; 0: never.", "steps"},
      {"train.eval_batches", Type::integer, "16", at_least(1),
       "Micro-batches of each held-out text per measurement.", "micro-batches"},
      {"train.save_every", Type::integer, "500", at_least(0),
       "Write a checkpoint each time so many steps are done; 0: only at the end.", "steps"},
      {"train.keep_checkpoints", Type::integer, "2", at_least(1), "Newest checkpoints to keep."},
      {"train.checkpoint_async", Type::text, "auto", Choices{{"auto", "true", "false"}},
       "Whether training goes on while a checkpoint is written, from a copy in the host's memory as large as "
       "what the process writes. true refuses a run whose copy does not fit; auto then lets training wait."},
      {"train.log_every", Type::integer, "10", at_least(1), "Report each time so many steps are done.",
       "steps"},
      {"train.tuned_products", Type::boolean, "true", AnyValue{},
       "On a GPU, use the algorithms that lethe tune chose for this run's matrix products. They are faster, "
       "and "
       "may round otherwise than what is used without them."},
  };
}

std::vector<Option> eval_options() {
  return {
      {"eval.every", Type::integer, "0", at_least(0),
       "Tell what was learned and forgotten each time so many steps are done, before the first and after the "
       "last: all held-out texts' losses and what follows here. 0: never.",
       "steps"},
      {"eval.tasks", Type::text_list, "[]", AnyValue{},
       "Benchmarks, by the names that lethe eval has for them; each measures acc_norm where it has that, "
       "else acc."},
      {"eval.data", Type::path_list, "[]", AnyValue{}, "Folders of the benchmarks' files."},
      {"eval.protocol", Type::text, "lm-eval", Choices{{"lm-eval", "gauntlet"}},
       "Whose prompts and decisions, as of lethe eval."},
      {"eval.shots", Type::integer, "-1", at_least(-1),
       "Solved examples before each question; -1: a benchmark's own number."},
      {"eval.limit", Type::integer, "0", at_least(0), "The first N documents of each benchmark; 0: all.",
       "documents"},
      {"eval.divergence", Type::text_list, "[]", AnyValue{},
       "Names of held-out texts on which KL(base || model) is measured, per token and exact over the "
       "vocabulary. The base is what was trained as it was at the start, kept in the host's memory: of LoRA "
       "the adapter alone."},
      {"eval.learning", Type::text_list, "[]", AnyValue{},
       "What tells how much was learned, the mean of: names of benchmarks, 'loss of NAME' or 'divergence of "
       "NAME'. Empty: the loss of the held-out part of data.train."},
      {"eval.forgetting", Type::text_list, "[]", AnyValue{},
       "What tells how much was forgotten, likewise. Empty: eval.tasks, or without any the losses of "
       "data.held_out."},
      {"eval.stop_when_forgotten", Type::number, "0", at_least(0),
       "End the run once that mean has become worse than the base's by more than this: nats, or a share of "
       "documents. 0: never."},
      {"eval.keep_best", Type::boolean, "false", AnyValue{},
       "Keep, in the output folder's best, the model that had learned the most without having forgotten more "
       "than eval.stop_when_forgotten."},
      {"eval.max_share_of_time", Type::number, "0.2", between(0, 1),
       "Share of the run's time that may go into this: what would pass it is left out, but for the first and "
       "the last time. 0: any."},
  };
}

std::vector<Option> optimizer_options() {
  return {
      {"optimizer.name", Type::text, "adamw", Choices{{"adamw", "decoupled_adamw", "lion"}},
       "adamw (Loshchilov & Hutter 2019, decay times learning rate), decoupled_adamw (decay apart from the "
       "peak "
       "learning rate), or lion (Chen et al. 2023, with decoupled decay)."},
      {"optimizer.learning_rate", Type::number, "1e-4", at_least(0), "Peak learning rate."},
      {"optimizer.betas", Type::number_list, "[]", from_to_below(0, 1),
       "Decay rates of the two moving averages; an empty list stands for the optimizer's own: [0.9, 0.95] "
       "for "
       "adamw and decoupled_adamw, [0.9, 0.99] for lion."},
      {"optimizer.epsilon", Type::number, "1e-8", above(0), "Added to the root in AdamW's denominator."},
      {"optimizer.weight_decay", Type::number, "0", at_least(0), "Decay of the weights that have any."},
      {"optimizer.state", Type::text, "auto", Choices{{"auto", "float32", "bfloat16"}},
       "Type of the moving averages. With float32 ones (auto) a bfloat16 weight keeps its exact float32 "
       "value in "
       "two more bytes; bfloat16 ones, which need precision bfloat16, save that and half of the averages, "
       "and "
       "all are rounded at random. Never narrower than the trained weights."},
      {"schedule.name", Type::text, "cosine", Choices{{"cosine", "inverse_sqrt", "linear", "constant"}},
       "Course of the learning rate after warm-up."},
      {"schedule.warmup", Type::duration, "0 steps", at_least(0), "Linear rise from 0 to the peak."},
      {"schedule.alpha_f", Type::number, "0.1", between(0, 1),
       "Last learning rate over the peak, for cosine and linear."},
      {"schedule.cooldown", Type::duration, "0 steps", at_least(0),
       "Linear fall at the end of inverse_sqrt."},
      {"schedule.scale", Type::duration, "0 steps", at_least(0),
       "Time scale of inverse_sqrt's decay; 0 stands for the length of the warm-up."},
      {"schedule.alpha_f_decay", Type::number, "0", between(0, 1),
       "Level over the peak that inverse_sqrt's decay tends to."},
      {"schedule.alpha_f_cooldown", Type::number, "0", between(0, 1),
       "Level over the peak at the end of inverse_sqrt's cooldown."},
  };
}

std::vector<Option> machine_options() {
  return {
      {"distributed.engine", Type::text, "auto", Choices{{"auto", "self", "mpi", "nccl"}},
       "What the processes that a launcher started compute sums with. auto: NCCL if each has a GPU of its "
       "own, else the "
       "host's memory; mpi: the host's memory in any case; nccl; self: there must be one process."},
      {"distributed.sharding", Type::text, "none", Choices{{"none", "zero1", "zero2", "zero3"}},
       "What the processes share out instead of each keeping all of it. none: nothing; zero1: the "
       "optimizer's state; zero2: gradients too; zero3: weights too."},
      {"distributed.bucket_mb", Type::integer, "64", between(0, 1 << 20),
       "Gradients are summed over the processes as soon as so many of them are complete, while the backward "
       "pass goes "
       "on.",
       "MiB"},
      {"precision", Type::text, "float32", Choices{{"float32", "bfloat16", "float64"}},
       "Type of weights and activations; train.gradients and optimizer.state say what is kept beside them."},
      {"device", Type::text, "auto", AnyValue{},
       "auto, cpu, cuda, or cuda:N for the GPU with that number; auto takes the first GPU if this build and "
       "machine have one."},
      {"threads", Type::integer, "0", between(0, 4096), "CPU threads; 0: all cores. Changes no result."},
      {"memory_budget_gb", Type::number, "0", at_least(0),
       "Memory that the run may use on its device; 0: all that the device has.", "GB of 1e9 bytes"},
      {"output", Type::path, "runs/train", AnyValue{},
       "Folder of the run: checkpoints, metrics, configuration."},
  };
}

}  // namespace

const OptionTable& train_table() {
  static const OptionTable table = [] {
    std::vector<Option> all;
    for (const auto& part : {model_options(), data_options(), train_options_list(), eval_options(),
                             optimizer_options(), machine_options()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return OptionTable("train", "Training configuration", std::move(all));
  }();
  return table;
}

}  // namespace lethe
