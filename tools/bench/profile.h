// Where a step's time goes, by kind of operation and by matrix product, against what the machine can do.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/tape.h"
#include "tools/bench/products.h"

namespace lethe {

// What this machine reaches when it does nothing else.
struct Limits {
  double flops_per_s = 0, bytes_per_s = 0;
  // The least time that an operation can take: that of its FLOPs or that of its bytes.
  double seconds(const Cost& cost) const;
};

struct ProfileRow {
  std::string kind;  // the operation's name
  int64_t calls = 0;
  double seconds = 0, flops = 0, bytes = 0;  // of one step
  double limit_seconds = 0;                  // the least time of each node, added up
};

// Adds a program's nodes, which took `seconds` each in one step, to the rows of their kind.
void add_profile(std::vector<ProfileRow>& rows, const Tape& tape, const std::vector<double>& seconds,
                 const Limits& limits);

// Slowest kind first; `limit` is the share of the machine's limit that the kind reaches. Rates in GFLOP/s and
// GB/s, on a machine that copies more than 1 TB/s in thousands of them.
std::string profile_table(std::vector<ProfileRow> rows, const Limits& limits);

// One distinct product, all its calls in a step.
struct ProductRow {
  MatrixProduct product;
  double seconds = 0;
  double best_seconds = 0;  // of the library's fastest candidate alone, as often; 0: not measured
};

// A row for each of the tape's distinct products.
std::vector<ProductRow> product_profile(const Tape& tape, const std::vector<double>& seconds);
std::string product_table(std::vector<ProductRow> rows);

nlohmann::json profile_json(const std::vector<ProfileRow>& rows);
nlohmann::json product_json(const std::vector<ProductRow>& rows);

}  // namespace lethe
