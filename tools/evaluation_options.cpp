#include "tools/evaluation_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include "tools/eval/tasks/tasks.h"

namespace lethe {
namespace {

using namespace eval;

template <class Tasks>
void list(const Tasks& tasks, std::string& text) {
  for (const auto& t : tasks)
    text += fmt::format("  {:14} {} ({})\n", t.name, t.purpose, fmt::join(t.files, ", "));
}

std::string list_of_tasks() {
  std::string text = "\nTasks, and the files that they read from DIR (their examples from others there):\n";
  list(choice_tasks(), text);
  list(text_tasks(), text);
  list(generation_tasks(), text);
  text += "\nBy --protocol gauntlet, its own files or those above:\n";
  list(gauntlet_tasks(), text);
  return text;
}

void add_asking_options(CLI::App& app, EvaluationRequest& a) {
  app.add_option("--tasks", a.tasks, "names, joined by commas")->delimiter(',');
  app.add_option("--protocol", a.protocol,
                 "whose prompts and decisions: lm-eval, or gauntlet (MosaicML's, as the LoRA paper has it)")
      ->check(CLI::IsMember({"lm-eval", "gauntlet"}));
  app.add_option("--data", a.run.data, "folder of the tasks' files; may be repeated");
  app.add_option("--text", a.texts,
                 "a file, a folder or JSONL whose perplexity is measured; may be repeated");
  app.add_option("--json-key", a.json_key, "of the text in JSONL");
  app.add_option("--shots", a.run.shots, "solved examples before each question (default: the task's own)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--limit", a.run.limit, "the first N documents of each task; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--batch", a.batch, "requests computed at a time; 0: as many as a pass holds")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--tokens", a.tokens, "tokens of a pass; 0: what suits the device")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--tokenizer", a.tokenizer,
                 "tokenizer.json, tokenizer.model or a folder with one (default: the model's)");
  app.add_option("--bos", a.bos,
                 "a beginning-of-sequence token before each text: as the tokenizer has it (auto), on, off")
      ->check(CLI::IsMember({"auto", "on", "off"}));
  app.add_option("--max-length", a.run.max_length,
                 "tokens that the model is given at most, of which the last count; 0: all its positions")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--precision", a.scoring.precision, "float32, bfloat16 or float64")
      ->check(CLI::IsMember({"float32", "bfloat16", "float64"}));
  app.add_option("--device", a.scoring.device, "cpu, cuda, cuda:N or auto");
  app.add_option("--threads", a.scoring.threads, "0: all cores");
}

void add_writing_options(CLI::App& app, EvaluationRequest& a) {
  GenerationOptions& g = a.generation;
  app.add_option("--samples", g.samples, "texts written for each document, where a task has them written")
      ->check(CLI::PositiveNumber);
  app.add_option("--temperature", g.temperature, "of written texts; 0: the most probable token each time")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", g.top_p, "nucleus: share of the probability to draw from")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", g.seed, "of the draws");
  app.add_option("--max-new-tokens", g.max_new_tokens, "of a written text (default: the task's own)")
      ->check(CLI::PositiveNumber);
  app.add_flag(
      "--decode-with-prompt", a.decode_with_prompt,
      "decode what was written behind the prompt: keeps the first space, which Llama-2's tokenizer drops "
      "where the harness decodes it alone");
  app.add_option("--python", g.python.interpreter, "whole path of the Python that runs written programs")
      ->capture_default_str();
  app.add_flag("!--unsafe-exec", g.python.sandboxed,
               "run written programs with this user's rights where the kernel gives no sandbox");
}

}  // namespace

void add_evaluation_options(CLI::App& app, EvaluationRequest& request) {
  add_asking_options(app, request);
  add_writing_options(app, request);
  app.footer(list_of_tasks());
}

}  // namespace lethe
