// What was written is loaded back and must compute what it was made from: the one way any export ends.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/run/inference.h"

namespace lethe {

// Some rows of fixed token ids, each a document of its own.
struct Probe {
  int64_t rows = 1, tokens = 1;
  std::vector<int32_t> ids;  // [rows, tokens]
};
// Up to 4 rows of up to 32 tokens, the same for a vocabulary in every run.
Probe make_probe(int64_t vocab_size, int64_t most_rows, int64_t most_tokens);

// Logits after each token of the probe, [rows * tokens, vocab_size], of a session whose program `evaluate`
// keeps `logits` and takes at least as many rows and tokens. Replaces the session's batch.
std::vector<float> probe_logits(Session& session, size_t evaluate, Var logits, int64_t rows, int64_t tokens,
                                const Probe& probe);

struct Proof {
  double difference = 0;  // the largest between two logits
  double size = 0;        // the largest logit of the original
  double bound = 0;       // what rounding may make of `difference`
  int64_t tokens = 0;     // places where a next token was chosen greedily,
  int64_t same = 0;       // and those where both chose the same
  int64_t clear = 0;      // places where the original's first choice leads by more than 2 bounds,
  int64_t clear_same = 0;
  bool holds() const { return difference <= bound && clear == clear_same; }
};

// The bound. Each of L layers rounds some 10 results that join the residual stream, each by at most
// `roundoff` of its size (2^-9 in bf16, 2^-24 in float32); as independent errors they add up to
// sqrt(10 L) * roundoff of a logit's size, and the largest of some 10^6 logits lies within 5 deviations.
// Both sides have such an error: 5 * sqrt(2 * 10 L) * roundoff * (largest logit).
Proof compare_logits(const std::vector<float>& original, const std::vector<float>& loaded, int64_t vocab_size,
                     int64_t layers, double roundoff);
double roundoff_of(StoredType type);
double roundoff_of(DType dtype);

std::string text_of(const Proof& proof);

// Writes into a folder beside `folder` whose name ends with ".unproven" and, when `prove` has shown that what
// lies there is right, puts it in the place of `folder`. Throws RunError, leaving it under that name, if the
// proof does not hold; what `write` or `prove` throw passes on likewise.
Proof write_proven(const std::string& folder, const std::function<void(const std::string&)>& write,
                   const std::function<Proof(const std::string&)>& prove);

}  // namespace lethe
