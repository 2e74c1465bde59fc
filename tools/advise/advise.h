// The configuration that the paper's takeaways and its follow-ups give for a model, its data and a memory.
#pragma once

#include <string>
#include <vector>

#include "tools/advise/paper_tables.h"

namespace lethe::advise {

struct ModelShape {
  double parameters = 0;
  double adapter_parameters_per_rank = 0;  // of all seven maps of every layer
  int64_t hidden_size = 0;
  int64_t smallest_side = 0;  // of all those maps: no rank is higher
};

struct Request {
  Kind kind = Kind::instructions;
  Domain domain = Domain::code;
  double tokens = 0;        // of the data, once through
  double memory_bytes = 0;  // of one device, for weights, gradients and optimizer; 0: no limit
  ModelShape model;
};

struct Line {
  std::string key, value, reason, source;  // key: of a configuration (docs/options.md)
};

struct Advice {
  bool full = false;  // full fine-tuning, not LoRA
  int64_t rank = 0;
  double state_bytes = 0;  // weights, gradients, optimizer
  double learning_rate = 0;
  std::vector<double> sweep;  // learning rates to try
  int64_t epochs = 1;
  std::vector<Line> lines;
  std::vector<std::string> warnings;
  Measured expected;          // what the paper measured nearest to it
  int64_t expected_rank = 0;  // of the paper's, 0: full fine-tuning
};

// Bytes of weights, gradients and AdamW's state: fp32 throughout for full fine-tuning (16 P), bf16 frozen
// weights beside fp32 adapters for LoRA (2 P + 16 A); appendix I of the paper.
double full_bytes(double parameters);
double lora_bytes(double parameters, double adapter_parameters);

// The least rank whose adapters hold as many bits as the data: 2 bits a parameter, 1 bit a token (part C of
// "LoRA Without Regret": an upper bound). At least 1.
int64_t rank_for_data(double tokens, double adapter_parameters_per_rank);

// Throws RequestError where a number of the request is not above 0, or where not even rank 1 fits the memory.
Advice advise(const Request& request);

// As text: `key=value` with reason and source below, then what to expect.
std::string text_of(const Request& request, const Advice& advice);

}  // namespace lethe::advise
