#include "tests/run/alone.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/step_inputs.h"

namespace lethe::test {
namespace {

// [tokens, vocab_size]
std::vector<double> logits_of(const ProgramSpec& spec, const std::vector<int32_t>& ids,
                              const std::vector<int64_t>& lengths, std::unique_ptr<Backend> backend) {
  TinyRun run(spec, std::move(backend), true);
  if (spec.lora) randomise_lora_b(*run.session, 5);
  TinyBatch batch(1, spec.tokens, spec.config.vocab_size);
  batch.ids = ids;
  size_t at = 0;
  for (const int64_t length : lengths) {
    const auto begin = static_cast<int32_t>(at);
    for (int32_t i = 0; i < length; ++i, ++at) {
      batch.positions[at] = i;
      batch.document_start[at] = begin;
    }
  }
  set_batch(*run.session, batch.part(0, 1));
  run.session->run(run.programs.evaluate);
  const Buffer b = run.session->buffer(run.programs.evaluate, run.programs.logits);
  std::vector<double> values;
  dispatch_float(b.dtype, "logits", [&]<class T>() {
    std::vector<T> row(static_cast<size_t>(b.width));
    for (int64_t r = 0; r < b.rows; ++r) {
      run.session->backend().download(row.data(), b.as<const T>().row(r),
                                      b.width * static_cast<int64_t>(sizeof(T)));
      for (const T v : row) values.push_back(static_cast<double>(static_cast<compute_t<T>>(v)));
    }
  });
  return values;
}

}  // namespace

double packed_against_alone(ProgramSpec spec, const std::vector<int64_t>& lengths,
                            const std::function<std::unique_ptr<Backend>()>& make_backend) {
  spec.rows = 1;
  spec.tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  spec.documents = std::ssize(lengths);
  spec.config.max_position_embeddings = spec.tokens;
  const std::vector<int32_t> ids = TinyBatch(1, spec.tokens, spec.config.vocab_size).ids;
  const std::vector<double> packed = logits_of(spec, ids, lengths, make_backend());
  const auto vocabulary = static_cast<size_t>(spec.config.vocab_size);
  double most = 0, size = 0;
  size_t begin = 0;
  for (const int64_t length : lengths) {
    const auto count = static_cast<size_t>(length);
    spec.tokens = length;
    spec.documents = 1;
    const std::vector<int32_t> part(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                    ids.begin() + static_cast<std::ptrdiff_t>(begin + count));
    const std::vector<double> alone = logits_of(spec, part, {length}, make_backend());
    if (alone.size() != count * vocabulary) return INFINITY;
    for (size_t i = 0; i < alone.size(); ++i) {
      most = std::max(most, std::abs(alone[i] - packed[begin * vocabulary + i]));
      size = std::max(size, std::abs(alone[i]));
    }
    begin += count;
  }
  return most / size;
}

}  // namespace lethe::test
