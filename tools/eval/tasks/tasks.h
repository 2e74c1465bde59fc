// The benchmarks, each a file of its own.
#pragma once

#include <string>
#include <vector>

#include "tools/eval/choice_task.h"

namespace lethe::eval {

ChoiceTask arc_challenge();
ChoiceTask arc_easy();
ChoiceTask hellaswag();
ChoiceTask mmlu();
ChoiceTask openbookqa();
ChoiceTask piqa();
ChoiceTask winogrande();

// In the order they are listed in.
const std::vector<ChoiceTask>& choice_tasks();

// What the files do with the texts, for tests.
std::string hellaswag_text(const std::string& text);
std::string hellaswag_query(const std::string& activity_label, const std::string& ctx_a,
                            const std::string& ctx_b);

}  // namespace lethe::eval
