// How well a model predicts a text it was not trained on.
#pragma once

#include "engine/session.h"
#include "tools/run/programs.h"
#include "tools/run/run_data.h"

namespace lethe {

struct Evaluation {
  std::string domain;
  double loss = 0;            // mean over target tokens, nats
  double accuracy = 0;        // share of targets that are the most probable token
  double standard_error = 0;  // of the loss, rows taken as independent and tokens within a row as not
  int64_t targets = 0;
};

// A floating tensor of a program as doubles, whatever its type.
std::vector<double> read_values(const Session& session, size_t program, Var x);

// Runs `evaluate` over the first max_batches batches of the domain's rows (fewer if there are fewer), each of
// the program's own number of rows. `losses`: the program's per-token losses; `documents`: the most that a
// batch may hold, 0 for any number (require_documents). The ranks of `comm` take turns with the batches; what
// they find together has the bits that one finds alone.
Evaluation evaluate_domain(Session& session, size_t program, Var losses, int64_t rows_per_batch,
                           const Domain& domain, int64_t max_batches, int64_t documents = 0,
                           Comm* comm = nullptr);

}  // namespace lethe
