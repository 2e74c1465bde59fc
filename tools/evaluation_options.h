// The options that `lethe eval` and `lethe forget` share.
#pragma once

#include "tools/eval/evaluation.h"

namespace CLI {
class App;
}

namespace lethe {

// What is asked and how; not the model, nor where results go.
void add_evaluation_options(CLI::App& app, eval::EvaluationRequest& request);

}  // namespace lethe
