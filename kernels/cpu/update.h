// What the optimizers share on the CPU: the loop over a parameter's elements and the count of those that
// moved.
#pragma once

#include <atomic>
#include <cmath>

#include "kernels/cpu/elements.h"
#include "kernels/update_rule.h"

namespace lethe::kernels::cpu {

// The random bits of each element of a run of neighbours, drawn once for eight.
class RoundingBits {
 public:
  RoundingBits(const UpdateScalars& scalars, uint32_t stream)
      : seed_(static_cast<uint64_t>(*scalars.seed)),
        step_(static_cast<uint64_t>(*scalars.step)),
        stream_(stream) {}
  uint32_t at(Rounded what, uint64_t element) {
    if (element / 8 != group_) {
      group_ = element / 8;
      words_ = rounding_words(seed_, step_, stream_, group_);
    }
    return rounding_bits(words_, what, static_cast<int>(element % 8));
  }

 private:
  uint64_t seed_, step_;
  uint32_t stream_;
  uint64_t group_ = ~uint64_t{0};
  PhiloxWords words_{};
};

// Elements begin to end of a row whose averages keep what they are given.
template <class Rule, class P, class G, class M, Truth kTruth, class C>
int64_t update_row(const UpdateTensors<P, G, M, kTruth>& t, const StepConstants<C>& k, int64_t row,
                   int64_t begin, int64_t end) {
  P* parameter = t.parameter.row(row);
  const G* gradient = t.gradient.row(row);
  M *first = t.m.row(row), *second = Rule::has_v ? t.v.row(row) : nullptr;
  auto* master = kTruth == Truth::parameter ? nullptr : t.master.row(row);
  int64_t changed = 0;
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) {
    const auto before = static_cast<compute_t<P>>(parameter[i]);
    C w, v = 0;
    if constexpr (kTruth == Truth::remainder) {
      w = joined({parameter[i].bits, master[i]});
    } else if constexpr (kTruth == Truth::copy) {
      w = master[i];
    } else {
      w = parameter[i];
    }
    if constexpr (Rule::has_v) v = second[i];
    w = Rule::step(k, w, static_cast<C>(static_cast<compute_t<G>>(gradient[i])) * k.scale, first[i], v);
    if constexpr (Rule::has_v) second[i] = v;
    if constexpr (kTruth == Truth::remainder) {
      const SplitFloat parts = split(w);
      parameter[i].bits = parts.nearest;
      master[i] = parts.remainder;
    } else {
      if constexpr (kTruth == Truth::copy) master[i] = w;
      parameter[i] = static_cast<P>(w);
    }
    changed += before != static_cast<compute_t<P>>(parameter[i]) ? 1 : 0;
  }
  return changed;
}

// The same where parameter and averages are bf16 and rounded at random.
template <class Rule, class G>
int64_t update_row_at_random(const UpdateTensors<bf16, G, bf16, Truth::parameter>& t,
                             const UpdateScalars& scalars, const StepConstants<float>& k, int64_t row,
                             int64_t begin, int64_t end) {
  RoundingBits bits(scalars, t.stream);
  int64_t changed = 0;
  for (int64_t i = begin; i < end; ++i) {
    const auto element = static_cast<uint64_t>(row * t.parameter.width + i);
    bf16& parameter = t.parameter.row(row)[i];
    bf16& first = t.m.row(row)[i];
    const auto before = static_cast<float>(parameter);
    float m = static_cast<float>(first), v = 0;
    if constexpr (Rule::has_v) v = static_cast<float>(t.v.row(row)[i]);
    const float w = Rule::step(
        k, before, static_cast<float>(static_cast<compute_t<G>>(t.gradient.row(row)[i])) * k.scale, m, v);
    parameter.bits = rounded_at_random(w, bits.at(Rounded::weight, element));
    first.bits = rounded_at_random(m, bits.at(Rounded::m, element));
    if constexpr (Rule::has_v) t.v.row(row)[i].bits = rounded_at_random(v, bits.at(Rounded::v, element));
    changed += before != static_cast<float>(parameter) ? 1 : 0;
  }
  return changed;
}

template <class Rule, class P, class G, class M, Truth kTruth>
void update(const UpdateTensors<P, G, M, kTruth>& tensors, std::span<const UpdateConstants> groups,
            const UpdateScalars& scalars, int64_t* moved, Write write_moved) {
  if (write_moved == Write::overwrite) *moved = 0;
  if (!std::isfinite(*scalars.gradient_scale)) return;
  const auto group = static_cast<size_t>(tensors.group);
  const auto constants = step_constants<compute_t<M>>(groups[group], scalars.learning_rates[group],
                                                      *scalars.step, *scalars.gradient_scale, Rule::has_v);
  parallel_elements(tensors.parameter.rows, tensors.parameter.width,
                    [&](int64_t row, int64_t begin, int64_t end) {
                      int64_t changed = 0;
                      if constexpr (std::is_same_v<M, bf16>) {
                        changed = update_row_at_random<Rule>(tensors, scalars, constants, row, begin, end);
                      } else {
                        changed = update_row<Rule>(tensors, constants, row, begin, end);
                      }
                      // Integers: the order of the pieces does not matter.
                      std::atomic_ref<int64_t>(*moved).fetch_add(changed, std::memory_order_relaxed);
                    });
}

}  // namespace lethe::kernels::cpu
