// What `lethe bench` trains: a shape, filled with random weights and random tokens.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/comm/device_comm.h"
#include "tools/run/programs.h"

namespace lethe {

struct BenchRequest {
  std::string device = "auto";  // auto, cpu, cuda
  std::string shape = "mini";   // see bench_shape
  std::string method = "full";  // full, lora, dora
  // Absent: the rank 64 on a GPU and 16 on a CPU, the shape's own batch and sequence on that device.
  std::optional<int64_t> rank;   // of the adapters of all seven maps
  std::optional<int64_t> batch;  // sequences a step
  std::optional<int64_t> seq;    // tokens a sequence
  int64_t steps = 12;            // timed; on a CPU each with a pass of sgemm
  int64_t threads = 0;           // of the CPU; 0: all cores
  std::string state = "bf16";    // of a GPU's full fine-tuning: bf16 weights and moments, or fp32 beside them
  int64_t recompute_layers = 0;  // the first so many; 0: all
  std::string recompute;         // see recompute_from; empty: norms on a GPU, none on a CPU
  bool deterministic = false;    // the same bits each time
  double tune_seconds = 0;       // to time algorithms for products that none is kept for
  double peak_tflops = 989;      // what mfu is a share of: H100's and H200's dense bf16 rate
  bool profile = false;
  // Of several processes, each on its GPU with a batch of its own: distributed.engine and
  // distributed.sharding.
  std::string engine = "auto", sharding = "none";
  int64_t bucket_mb = 64;
  std::shared_ptr<Comm> comm;               // absent: one
  std::shared_ptr<DeviceComm> device_comm;  // absent: one
  int ordinal = 0;                          // the GPU

  int world() const { return comm ? comm->world() : 1; }
};

// device: cuda or cpu instead of auto. Throws ConfigError for a GPU that is not there.
void resolve_device(BenchRequest& request);

// Checked, with everything that was absent filled in; auto counts as a GPU, which need not be there. Throws
// ConfigError, and FormatError for a config.json that is none.
ProgramSpec bench_spec(BenchRequest& request);

// float32 on a CPU; bfloat16 on a GPU, with the optimizer's state as the request says.
Precision bench_precision(const BenchRequest& request);
// What a moment is kept in: "fp32" or "bf16".
std::string state_name(const Precision& precision);

// What a plan for the device says, without one: bytes, parameters and the FLOPs of a token.
nlohmann::json plan_bench(BenchRequest request);

// What all lines that the benchmark prints have.
nlohmann::json request_json(const BenchRequest& request, const ProgramSpec& spec);

// One full batch of documents as long as the sequence, every token but the last a target.
struct RandomBatch {
  RandomBatch(int64_t rows, int64_t tokens, int64_t vocab_size);
  MicroBatch view() const;

  std::vector<int32_t> ids, labels, positions, document_start;
  int64_t targets = 0;
};

}  // namespace lethe
