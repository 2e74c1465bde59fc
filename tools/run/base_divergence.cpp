#include "tools/run/base_divergence.h"

#include <algorithm>
#include <cmath>

#include "engine/trainer.h"

namespace lethe {
BaseDivergence::BaseDivergence(Session& session, const DivergencePrograms& programs) : programs_(programs) {
  for (const int32_t p : session.state().trainable()) trained_.push_back(p);
  base_ = read(session);
}

BaseDivergence::Values BaseDivergence::read(const Session& session) const {
  Values values;
  for (const int32_t p : trained_) {
    const Buffer b = session.buffer(p);
    const int64_t size = size_of(b.dtype), row = b.width * size;
    values.emplace_back(static_cast<size_t>(b.rows * row));
    session.backend().download_rows(values.back().data(), b.data, b.pitch * size, row, b.rows);
  }
  return values;
}

void BaseDivergence::write(Session& session, const Values& values) const {
  for (size_t i = 0; i < trained_.size(); ++i) {
    const Buffer b = session.buffer(trained_[i]);
    const int64_t size = size_of(b.dtype);
    session.backend().upload_rows(b.data, b.pitch * size, values[i].data(), b.width * size, b.rows);
  }
}

Measure BaseDivergence::measure(Session& session, int64_t rows_per_batch, const Domain& domain,
                                int64_t max_batches, int64_t documents) const {
  const EvaluationLoader loader(domain.rows, rows_per_batch);
  double sum = 0, squares = 0;
  int64_t targets = 0;
  const Values now = read(session);
  for (int64_t b = 0; b < std::min(max_batches, loader.batches()); ++b) {
    const Batch batch = loader.batch(b);
    require_documents(batch.document_start, batch.tokens_per_row, documents);
    set_batch(session,
              {batch.ids, batch.labels, batch.positions, batch.document_start, 0, batch.valid_targets});
    session.run(programs_.keep);
    write(session, base_);
    session.run(programs_.compare);
    const std::vector<double> found = read_values(session, programs_.compare, programs_.divergences);
    write(session, now);
    for (size_t t = 0; t < batch.labels.size(); ++t) {
      if (batch.labels[t] == ignored_label) continue;
      sum += found[t];
      squares += found[t] * found[t];
      ++targets;
    }
  }
  if (targets == 0) throw DataError("held-out text " + domain.name + " has no target token");
  const auto n = static_cast<double>(targets);
  const double mean = sum / n;
  return {.name = "divergence of " + domain.name,
          .value = mean,
          .standard_error = n > 1 ? std::sqrt(std::max(0.0, squares / n - mean * mean) / (n - 1)) : NAN,
          .count = targets,
          .lower_is_better = true};
}

}  // namespace lethe
