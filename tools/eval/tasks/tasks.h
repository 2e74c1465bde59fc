// The benchmarks, each a file of its own.
#pragma once

#include <string>
#include <vector>

#include "tools/eval/choice_task.h"
#include "tools/eval/generation_task.h"
#include "tools/eval/text_task.h"

namespace lethe::eval {

ChoiceTask arc_challenge();
ChoiceTask arc_easy();
ChoiceTask hellaswag();
ChoiceTask mmlu();
ChoiceTask openbookqa();
ChoiceTask piqa();
ChoiceTask winogrande();
TextTask wikitext();

GenerationTask gsm8k();
GenerationTask gsm8k_v040();
GenerationTask gsm8k_cot();
GenerationTask humaneval();
GenerationTask humaneval_instruct();
GenerationTask mbpp();

// In the order they are listed in.
const std::vector<ChoiceTask>& choice_tasks();
const std::vector<ChoiceTask>& gauntlet_tasks();
const std::vector<TextTask>& text_tasks();
const std::vector<GenerationTask>& generation_tasks();

// What the files do with the texts, for tests.
std::string hellaswag_text(const std::string& text);
std::string hellaswag_query(const std::string& activity_label, const std::string& ctx_a,
                            const std::string& ctx_b);
std::string wikitext_readable(const std::string& page);

// Up to the first three backticks.
std::string before_fence(const std::string& text);

}  // namespace lethe::eval
