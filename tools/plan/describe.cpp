#include "tools/plan/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "data/loader.h"
#include "model/weights/names.h"
#include "tools/run/fit.h"

namespace lethe {
namespace {

std::string bytes_text(int64_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", b / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.2f} MB", b / 1e6);
  if (bytes >= 1'000) return fmt::format("{:.2f} kB", b / 1e3);
  return fmt::format("{} B", bytes);
}

constexpr Kind kKindsInOrder[] = {Kind::weight,    Kind::gradient, Kind::optimizer, Kind::activation,
                                  Kind::workspace, Kind::input,    Kind::step_value};

// What alignment adds between persistent tensors, and what the fullest program's region leaves unused.
int64_t padding_of(const Plan& plan) {
  int64_t used = 0;
  for (const Kind k : kKindsInOrder) used += plan.bytes_of(k);
  return plan.arena_bytes - used;
}

std::string describe_lora(const LoraConfig& lora) {
  std::string text =
      fmt::format("method  {}: rank {}, alpha {}, scale {:.4g}, dropout {}, on {}",
                  lora.use_dora ? "DoRA" : "LoRA", lora.rank, lora.alpha, lora.scale(), lora.dropout,
                  lora.target_expression.empty() ? fmt::format("{}", fmt::join(lora.target_modules, " "))
                                                 : lora.target_expression);
  for (const auto& [expression, rank] : lora.rank_pattern)
    text += fmt::format("; rank {} where {}", rank, expression);
  for (const auto& [expression, alpha] : lora.alpha_pattern)
    text += fmt::format("; alpha {} where {}", alpha, expression);
  if (!lora.layers_to_transform.empty())
    text += fmt::format("; layers {}", fmt::join(lora.layers_to_transform, " "));
  if (!lora.modules_to_save.empty()) text += fmt::format("; whole {}", fmt::join(lora.modules_to_save, " "));
  return text + "\n";
}

}  // namespace

std::string describe_request(const PreparedRun& run) {
  const TrainOptions& o = run.options;
  const LlamaConfig& c = run.spec.config;
  std::string text;
  text += fmt::format("model   {}: {} layers, hidden {}, heads {}/{}, mlp {}, vocabulary {}; {} parameters\n",
                      run.model.path.empty() ? "fresh" : run.model.name, c.num_hidden_layers, c.hidden_size,
                      c.num_attention_heads, c.num_key_value_heads, c.intermediate_size, c.vocab_size,
                      parameter_count(c));
  if (run.spec.lora) {
    text += describe_lora(*run.spec.lora);
  } else {
    text += "method  full fine-tuning\n";
  }
  if (c.attention_dropout > 0) text += fmt::format("dropout {} of attention\n", c.attention_dropout);
  for (const TrainingSource& s : run.data.sources) {
    const RowCounts& n = s.rows->counts();
    text += fmt::format(
        "data    {}: {} documents, {} tokens, {} supervised, {} sequences of {}, {:.1f}% filled\n", s.path,
        s.shard->documents(), n.tokens, n.supervised, n.rows, o.data.sequence_length, 100 * n.efficiency());
    const ShardHeader& h = s.shard->header();
    if (h.dropped > 0)
      text += fmt::format("        {} too long and left out, with {} tokens\n", h.dropped, h.dropped_tokens);
    if (h.cut > 0) text += fmt::format("        {} too long and cut, by {} tokens\n", h.cut, h.cut_tokens);
  }
  if (run.data.chat) {
    text += fmt::format("chat    template {}, hash {}, loss on {}\n", run.data.chat->name(),
                        run.data.chat->hash(), o.data.loss);
  }
  for (const Domain& d : run.data.domains) {
    text += fmt::format("measure {}: {} sequences, {} supervised tokens\n", d.name, d.rows->counts().rows,
                        d.rows->counts().supervised);
  }
  const auto lr = [&](int64_t step) { return o.optimizer.learning_rate * multiplier(run.schedule, step); };
  text += fmt::format(
      "steps   {} of {} sequences ({} micro-batches of {}), {:.2f} epochs\n", run.steps, o.train.batch_size,
      run.micro_batches, o.train.micro_batch_size,
      static_cast<double>(run.steps * o.train.batch_size) / static_cast<double>(run.data.rows_per_epoch()));
  text += fmt::format("rate    {}: {}, warm-up ends after step {}, last rate {:.4g}\n", o.optimizer.name,
                      o.schedule.name, run.schedule.warmup, lr(run.steps - 1));
  text += fmt::format("numbers precision {}, recompute {}, threads {}", o.precision, o.train.recompute,
                      o.threads);
  return text;
}

PlanFigures plan_figures(const Programs& programs, const ProgramSpec& spec, int64_t micro_batches,
                         const Device& device, int64_t budget_bytes) {
  PlanFigures f;
  f.plan = plan_within(programs, spec, device, budget_bytes);
  const auto add = [&](const Tape& tape, double times) {
    for (const Node& node : tape.nodes()) {
      const double flops = node.op->cost(node, tape).flops * times;
      (node.phase == Phase::forward  ? f.forward_flops
       : node.phase == Phase::update ? f.update_flops
                                     : f.backward_flops) += flops;
      ++f.nodes;
    }
  };
  if (programs.step) {
    add(*programs.tapes[programs.step->first], static_cast<double>(micro_batches));
    add(*programs.tapes[programs.step->update], 1);
  } else {
    add(*programs.tapes[programs.evaluate], 1);
  }
  f.flops_per_step = f.forward_flops + f.backward_flops + f.update_flops;
  for (int32_t i = 0; i < programs.state->size(); ++i) {
    const PersistentInfo& p = (*programs.state)[i];
    if (p.kind != Kind::weight || !programs.state->is_whole(i)) continue;
    f.parameters += elements_of(p.shape);
    if (p.trainable) f.trainable += elements_of(p.shape);
  }
  return f;
}

ExaminationFigures examination_figures(const PreparedRun& run, const PlanFigures& figures,
                                       const Device& device) {
  ProgramSpec plain = run.spec;
  plain.examiner = nullptr;
  plain.divergence = false;
  const TrainOptions& o = run.options;
  ExaminationFigures made;
  made.bytes = figures.plan.arena_bytes -
               plan_figures(record_programs(plain), plain, run.share.count, device, -1).plan.arena_bytes;
  for (const Domain& domain : run.data.domains) {
    const int64_t batches =
        std::min(o.train.eval_batches, EvaluationLoader(domain.rows, plain.rows).batches());
    const bool compared = std::ranges::find(o.eval.divergence, domain.name) != o.eval.divergence.end();
    made.tokens += batches * plain.rows * plain.tokens * (compared ? 3 : 1);
  }
  if (run.spec.examiner) made.tokens += run.spec.examiner->tokens_examined();
  const double tokens_of_step = static_cast<double>(run.share.count * plain.rows * plain.tokens);
  made.flops = figures.forward_flops / tokens_of_step * static_cast<double>(made.tokens);
  made.times = 1 + (run.steps + o.eval.every - 1) / o.eval.every;
  const double all = made.flops * static_cast<double>(made.times);
  made.share = all / (all + figures.flops_per_step * static_cast<double>(run.steps));
  return made;
}

std::string describe_examination(const ExaminationFigures& f, const PlanFigures& of_steps) {
  return fmt::format(
      "measuring       {} bytes more; {} times {} tokens, each as much work as {:.1f} steps: {:.1f}% of the "
      "run's FLOPs\n",
      f.bytes, f.times, f.tokens, f.flops / of_steps.flops_per_step, 100 * f.share);
}

std::string describe_plan(const PlanFigures& f) {
  std::string text =
      fmt::format("parameters  {} of which {} are trained ({:.2f}%)\n", f.parameters, f.trainable,
                  100.0 * static_cast<double>(f.trainable) / static_cast<double>(f.parameters));
  text += "bytes\n";
  for (const Kind k : kKindsInOrder) {
    text +=
        fmt::format("  {:<12}{:>20}  {}\n", name_of(k), f.plan.bytes_of(k), bytes_text(f.plan.bytes_of(k)));
  }
  text += fmt::format("  {:<12}{:>20}  {}\n", "padding", padding_of(f.plan), bytes_text(padding_of(f.plan)));
  text += fmt::format("  {:<12}{:>20}  {}\n", "arena", f.plan.arena_bytes, bytes_text(f.plan.arena_bytes));
  text += fmt::format("FLOPs per step  {:.4g}: forward {:.4g}, backward {:.4g}, update {:.4g}\n",
                      f.flops_per_step, f.forward_flops, f.backward_flops, f.update_flops);
  return text;
}

nlohmann::json plan_json(const PlanFigures& f) {
  nlohmann::json bytes;
  for (const Kind k : kKindsInOrder) bytes[std::string(name_of(k))] = f.plan.bytes_of(k);
  bytes["padding"] = padding_of(f.plan);
  return {{"parameters", f.parameters},
          {"trainable", f.trainable},
          {"bytes", bytes},
          {"arena_bytes", f.plan.arena_bytes},
          {"planned_gb", static_cast<double>(f.plan.arena_bytes) / 1e9},
          {"flops_per_step", f.flops_per_step},
          {"forward_flops", f.forward_flops},
          {"backward_flops", f.backward_flops},
          {"update_flops", f.update_flops},
          {"nodes", f.nodes}};
}

std::string describe_program(const Tape& tape, const ProgramPlan& plan) {
  std::string text = fmt::format("program {}: {} nodes, {} behind the persistent tensors\n", tape.name(),
                                 tape.nodes().size(), bytes_text(plan.transient_bytes));
  for (size_t n = 0; n < tape.nodes().size(); ++n) {
    const Node& node = tape.nodes()[n];
    const Cost cost = node.op->cost(node, tape);
    std::string outputs;
    // A node of the update rewrites hundreds.
    constexpr size_t kShown = 6;
    for (const Output& o : std::span(node.outputs).first(std::min(kShown, node.outputs.size()))) {
      const char* mark = o.access == Access::overwrite    ? ""
                         : o.access == Access::accumulate ? " +="
                                                          : " in place";
      const TensorInfo& t = tape.info(o.var);
      outputs += fmt::format("{}{} {}{}", outputs.empty() ? "" : ", ", t.path, text_of(t.shape), mark);
    }
    if (node.outputs.size() > kShown) outputs += fmt::format(" and {} more", node.outputs.size() - kShown);
    text += fmt::format("{:>5} {:<9} {:<22} {:<46} -> {}  {} {:.3g} FLOP\n", n, name_of(node.phase),
                        node.op->name(), node.path, outputs, bytes_text(static_cast<int64_t>(cost.bytes)),
                        cost.flops);
  }
  return text;
}

}  // namespace lethe
