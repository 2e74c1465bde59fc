#include "tools/run/evaluate.h"

#include <algorithm>
#include <cmath>

#include "engine/step_inputs.h"

namespace lethe {
std::vector<double> read_values(const Session& session, size_t program, Var x) {
  const Buffer b = session.buffer(program, x);
  std::vector<double> values(static_cast<size_t>(b.rows * b.width));
  dispatch_float(b.dtype, "values", [&]<class T>() {
    std::vector<T> typed(values.size());
    session.backend().download(typed.data(), b.data, static_cast<int64_t>(typed.size() * sizeof(T)));
    std::ranges::transform(typed, values.begin(),
                           [](T v) { return static_cast<double>(static_cast<compute_t<T>>(v)); });
  });
  return values;
}

Evaluation evaluate_domain(Session& session, size_t program, Var losses, int64_t rows_per_batch,
                           const Domain& domain, int64_t max_batches, int64_t documents, Comm* comm) {
  const EvaluationLoader loader(domain.rows, rows_per_batch);
  Evaluation result{.domain = domain.name};
  int64_t correct = 0;
  const int64_t batches = std::min(max_batches, loader.batches());
  std::vector<double> row_loss(static_cast<size_t>(batches * rows_per_batch)), row_targets(row_loss.size());
  const int64_t world = comm ? comm->world() : 1, rank = comm ? comm->rank() : 0;
  for (int64_t b = rank; b < (batches + world - 1) / world * world; b += world) {
    if (b >= batches) {
      session.run(program);  // as often as the others, who may borrow weights of this rank meanwhile
      continue;
    }
    const Batch batch = loader.batch(b);
    require_documents(batch.document_start, batch.tokens_per_row, documents);
    set_batch(session,
              {batch.ids, batch.labels, batch.positions, batch.document_start, 0, batch.valid_targets});
    session.run(program);
    correct += session.get<int64_t>(step::correct)[0];
    const std::vector<double> values = read_values(session, program, losses);
    for (int64_t r = 0; r < batch.rows; ++r) {
      double sum = 0, targets = 0;
      for (int64_t t = r * batch.tokens_per_row; t < (r + 1) * batch.tokens_per_row; ++t) {
        if (batch.labels[static_cast<size_t>(t)] == ignored_label) continue;
        sum += values[static_cast<size_t>(t)];
        ++targets;
      }
      row_loss[static_cast<size_t>(b * rows_per_batch + r)] = sum;
      row_targets[static_cast<size_t>(b * rows_per_batch + r)] = targets;
    }
  }
  if (comm) {
    // Of each row one rank knows something and the others hold zeros: nothing is rounded.
    comm->all_reduce(&correct, DType::i64, 1);
    for (std::vector<double>* rows : {&row_loss, &row_targets})
      comm->all_reduce(rows->data(), DType::f64, static_cast<int64_t>(rows->size()));
  }
  double sum = 0, targets = 0;
  for (size_t r = 0; r < row_loss.size(); ++r) {
    sum += row_loss[r];
    targets += row_targets[r];
  }
  if (targets == 0) throw DataError("held-out text " + domain.name + " has no target token");
  result.loss = sum / targets;
  result.accuracy = static_cast<double>(correct) / targets;
  result.targets = static_cast<int64_t>(targets);
  // The ratio estimator's variance (Cochran, "Sampling Techniques", 1977, ch. 6): residuals of row sums.
  const auto n = static_cast<double>(std::ranges::count_if(row_targets, [](double t) { return t > 0; }));
  double squares = 0;
  for (size_t r = 0; r < row_loss.size(); ++r)
    squares += std::pow(row_loss[r] - result.loss * row_targets[r], 2);
  result.standard_error = n > 1 ? std::sqrt(squares * n / (n - 1)) / targets : 0;
  return result;
}

}  // namespace lethe
