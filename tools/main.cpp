// The `lethe` command: the list of its subcommands.
#include <string>
#include <vector>

#include "tools/command.h"
#include "tools/commands.h"

namespace {

constexpr lethe::Command commands[] = {
    {"study", "a base, full fine-tuning and LoRA, and a report of what each learned and forgot",
     lethe::study_command},
    {"advise", "a configuration to begin with, from the literature", lethe::advise_command},
    {"report", "a study's report, from its results alone", lethe::report_command},
    {"train", "one run: full or LoRA, from text and a model to a trained model", lethe::train_command},
    {"launch", "a run's processes on this machine, started again if one dies", lethe::launch_command},
    {"plan", "bytes, FLOPs and the program of a run, before anything is allocated", lethe::plan_command},
    {"tune", "times the algorithms of a run's matrix products on the GPU and keeps the fastest",
     lethe::tune_command},
    {"data", "what a run reads, as people can read it", lethe::data_command},
    {"batches", "the tokens that a run reads, as safetensors", lethe::batches_command},
    {"eval", "benchmarks, decided as lm-evaluation-harness decides them", lethe::eval_command},
    {"forget", "what a tuned model forgot beside its base, benchmark by benchmark", lethe::forget_command},
    {"generate", "continues a prompt", lethe::generate_command},
    {"tokenize", "text to token ids and back", lethe::tokenize_command},
    {"spectrum", "singular values of what training changed", lethe::spectrum_command},
    {"merge", "an adapter folded into its base, and how much of it survived the rounding",
     lethe::merge_command},
    {"lint", "what an adapter's target will not load, before training", lethe::lint_command},
    {"inspect", "logits, losses and gradients as safetensors", lethe::inspect_command},
    {"convert", "a model in another type or other shards", lethe::convert_command},
    {"options", "every key of a configuration; checks a configuration", lethe::options_command},
    {"bench", "speed of training steps beside the matrix products' own", lethe::bench_command},
    {"doctor", "what this machine has, and what of it lethe can use", lethe::doctor_command},
};

}  // namespace

int main(int count, char** values) {
  return lethe::dispatch(commands, std::vector<std::string>(values + (count > 0 ? 1 : 0), values + count));
}
