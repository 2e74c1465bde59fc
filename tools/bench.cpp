// lethe bench: how fast a training step is beside OpenBLAS's sgemm of the matrix products in it.
#include "tools/bench/bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tools/command.h"
#include "tools/commands.h"

namespace lethe {
namespace {

constexpr const char* kPurpose =
    "Times training steps on random tokens and prints one JSON line. In turn with each step it computes "
    "every matrix "
    "product of the step's linear maps with OpenBLAS's own threaded sgemm, as numpy would. 'ratio' is the "
    "time sgemm "
    "would take for all FLOPs of the step's matrix products, attention's included at the rate that sgemm "
    "reaches on the "
    "linear maps' shapes, divided by the time of the whole step: the median over the pairs. "
    "'ratio_without_attention' "
    "leaves attention's FLOPs out and is sgemm_ms / step_ms.";

const char* form_name(kernels::MatmulForm form) {
  return form == kernels::MatmulForm::nt ? "nt" : form == kernels::MatmulForm::nn ? "nn" : "tn";
}

std::string product_table(const BenchResult& r) {
  std::string text = fmt::format("{:<6}{:>7}{:>7}{:>7}{:>7}{:>12}{:>10}\n", "form", "m", "n", "k", "calls",
                                 "sgemm ms", "GFLOP/s");
  for (size_t i = 0; i < r.products.size(); ++i) {
    const MatrixProduct& p = r.products[i];
    text += fmt::format("{:<6}{:>7}{:>7}{:>7}{:>7}{:>12.3f}{:>10.1f}\n",
                        fmt::format("{}{}", form_name(p.form), p.accumulates ? " +=" : ""), p.m, p.n, p.k,
                        p.count, r.product_ms[i], p.flops() / r.product_ms[i] / 1e6);
  }
  return text;
}

}  // namespace

int bench_command(const std::vector<std::string>& arguments) {
  CLI::App app(kPurpose, "lethe bench");
  BenchRequest request;
  std::string device = "cpu";
  bool json = false;
  app.add_option("--device", device, "cpu")->check(CLI::IsMember({"cpu"}))->capture_default_str();
  app.add_option("--shape", request.shape, "mini (the default study's model), 135m, or a config.json")
      ->capture_default_str();
  app.add_option("--method", request.method, "full or lora (on all seven maps)")->capture_default_str();
  app.add_option("--rank", request.rank, "LoRA's rank")->capture_default_str();
  app.add_option("--batch", request.batch, "sequences a step; 0: the shape's own")->capture_default_str();
  app.add_option("--seq", request.seq, "tokens a sequence; 0: the shape's own")->capture_default_str();
  app.add_option("--steps", request.steps, "timed steps, each with its pass of sgemm")->capture_default_str();
  app.add_option("--threads", request.threads, "CPU threads; 0: all cores")->capture_default_str();
  app.add_flag("--profile", request.profile,
               "also the time of each kind of node, beside the machine's limits");
  app.add_flag("--json", json, "print the JSON line alone, the profile in it");
  parse(app, arguments);

  const BenchResult result = run_bench(request);
  if (request.profile && !json) {
    std::cout << profile_table(result.profile, result.sgemm_flops_per_s(), result.bandwidth) << "\n"
              << product_table(result) << "\n";
  }
  nlohmann::json line = bench_json(result);
  if (!json) line.erase("profile");
  std::cout << line.dump() << "\n";
  return 0;
}

}  // namespace lethe
