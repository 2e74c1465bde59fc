// lethe bench: how fast a training step is, on a GPU or on a CPU beside OpenBLAS's sgemm of its products; how
// fast texts grow.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/comm/launch.h"
#include "engine/log.h"
#include "tools/bench/decode_bench.h"
#include "tools/bench/gpu_bench.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/run/rank_devices.h"

namespace lethe {
namespace {

constexpr const char* kPurpose =
    "Times training steps on random tokens and prints one JSON line. On a GPU: tokens/s, the share of "
    "the peak rate that the step's needed FLOPs are (mfu), memory, time from the process's start to the "
    "end of the first step. On a CPU it computes, in turn with each step, every matrix product of the "
    "step's linear maps with OpenBLAS's own threaded sgemm, as numpy would: 'ratio' is the time sgemm "
    "would take for all FLOPs of the step's matrix products, attention's included at the rate that "
    "sgemm reaches on the linear maps' shapes, divided by the time of the whole step: the median over "
    "the pairs. 'ratio_without_attention' leaves attention's FLOPs out and is sgemm_ms / step_ms.";

std::string sgemm_table(const BenchResult& r) {
  std::string text = fmt::format("{:<6}{:>7}{:>7}{:>7}{:>7}{:>12}{:>10}\n", "form", "m", "n", "k", "calls",
                                 "sgemm ms", "GFLOP/s");
  for (size_t i = 0; i < r.products.size(); ++i) {
    const MatrixProduct& p = r.products[i];
    text += fmt::format("{:<6}{:>7}{:>7}{:>7}{:>7}{:>12.3f}{:>10.1f}\n", form_text(p), p.m, p.n, p.k, p.count,
                        r.product_ms[i], p.flops() / r.product_ms[i] / 1e6);
  }
  return text;
}

void add_options(CLI::App& app, BenchRequest& request) {
  app.add_option("--device", request.device, "auto (a GPU if there is one), cuda or cpu")
      ->capture_default_str();
  app.add_option("--shape", request.shape,
                 "mini (the default study's model), 135m, 1b, 7b, 8b, or a config.json")
      ->capture_default_str();
  app.add_option("--method", request.method, "full, lora or dora (on all seven maps)")->capture_default_str();
  app.add_option("--rank", request.rank, "LoRA's rank; 64 on a GPU, 16 on a CPU");
  app.add_option("--batch", request.batch, "sequences a step; without it the shape's own");
  app.add_option("--seq", request.seq, "tokens a sequence; without it the shape's own");
  app.add_option("--steps", request.steps, "timed steps; a GPU's first third does not count")
      ->capture_default_str();
  app.add_option("--threads", request.threads, "CPU threads; 0: all cores")->capture_default_str();
  app.add_option("--state", request.state,
                 "moments of a GPU's full fine-tuning: bf16, or fp32 with a master copy")
      ->capture_default_str();
  app.add_option("--recompute", request.recompute,
                 "none, rmsnorm, swiglu, norms, mlp or block; without it norms on a GPU, none on a CPU");
  app.add_flag("--deterministic", request.deterministic,
               "the same bits each time, which costs a GPU's attention some speed and memory");
  app.add_option("--tune", request.tune_seconds,
                 "first time algorithms for the matrix products, for so many seconds, and keep the fastest")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--recompute-layers", request.recompute_layers,
                 "how many of the first layers --recompute holds for; 0: all")
      ->capture_default_str();
  app.add_option("--peak", request.peak_tflops, "TFLOP/s that mfu is a share of")->capture_default_str();
  app.add_option("--engine", request.engine,
                 "of several processes that a launcher started, each with a GPU and a batch of its own: what "
                 "their sums "
                 "go through, as distributed.engine; nccl records them for one process too")
      ->check(CLI::IsMember({"auto", "self", "mpi", "nccl"}))
      ->capture_default_str();
  app.add_option("--sharding", request.sharding, "what they share out: none, zero1, zero2 or zero3")
      ->capture_default_str();
  app.add_option("--bucket-mb", request.bucket_mb, "gradients that are summed at once, MiB")
      ->capture_default_str();
  app.add_flag("--profile", request.profile,
               "also the time of each kind of node, beside the machine's limits");
}

// What is printed before the line.
void run_on_gpu(const BenchRequest& request, TraceFile& trace, bool json) {
  const GpuBenchResult result = run_gpu_bench(request, trace);
  nlohmann::json line = gpu_bench_json(result);
  if (request.profile && !json) {
    std::cout << gpu_profile_text(result) << "\n";
    line.erase("profile");
  }
  std::cout << line.dump() << "\n";
}

// Each rank times its steps, which end together; the first prints.
int run_on_gpus(BenchRequest& request, TraceFile& trace) {
  const RankDevice device = device_of_rank(*request.comm, request.device, request.engine);
  if (!device.comm) throw ConfigError("--device", "several processes are timed on GPUs alone");
  log::set_silent(request.comm->rank() != 0);
  request.device_comm = device.comm;
  parse_device(device.device, &request.ordinal);
  TraceFile none;
  const GpuBenchResult result = run_gpu_bench(request, request.comm->rank() == 0 ? trace : none);
  if (request.comm->rank() == 0) std::cout << gpu_bench_json(result).dump() << "\n";
  request.comm->barrier();
  return 0;
}

void run_on_cpu(const BenchRequest& request, bool json) {
  const BenchResult result = run_bench(request);
  nlohmann::json line = bench_json(result);
  if (request.profile && !json) {
    std::cout << profile_table(result.profile, result.limits) << "\n" << sgemm_table(result) << "\n";
    line.erase("profile");
  }
  std::cout << line.dump() << "\n";
}

}  // namespace

int bench_command(const std::vector<std::string>& arguments) {
  CLI::App app(kPurpose, "lethe bench");
  BenchRequest request;
  TraceFile trace;
  bool json = false, plan = false;
  int64_t new_tokens = 0;
  add_options(app, request);
  trace.add_options(app);
  app.add_flag("--plan", plan, "run nothing: print what the device would need, a GPU unless --device cpu");
  app.add_option(
         "--decode", new_tokens,
         "instead of training: so many tokens after each of --batch prompts of --seq tokens, beside what "
         "reading the weights and the kept keys and values takes at a copy's speed")
      ->check(CLI::PositiveNumber);
  app.add_flag("--json", json, "print the JSON line alone, the profile in it");
  parse(app, arguments);
  if (plan) {
    std::cout << plan_bench(request).dump() << "\n";
    return 0;
  }
  const Launched launch = find_launched();
  request.comm = make_comm(launch);
  if (request.comm->world() > 1 || request.engine == "nccl") return run_on_gpus(request, trace);
  resolve_device(request);
  if (new_tokens > 0) {
    std::cout << decode_bench_json(run_decode_bench(request, new_tokens)).dump() << "\n";
    return 0;
  }
  if (request.device == "cuda") {
    run_on_gpu(request, trace, json);
  } else {
    trace.load(request.device);
    run_on_cpu(request, json);
  }
  return 0;
}

}  // namespace lethe
