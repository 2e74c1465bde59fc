#include "tools/report/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>

#include "tools/report/numbers.h"

namespace lethe::report {
namespace {

// A label as it stands within a sentence: "full fine-tuning", but "LoRA r4".
std::string inside(const Outcome& outcome) {
  std::string label = outcome.run.label;
  const std::string first_word = label.substr(0, label.find(' '));
  const auto is_capital = [](unsigned char c) { return std::isupper(c) != 0; };
  if (std::count_if(first_word.begin(), first_word.end(), is_capital) == 1 && is_capital(first_word[0])) {
    label[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(label[0])));
  }
  return label;
}

using Compare = Difference (*)(const Outcome&, const Outcome&);

// The runs that can be compared, by kind; LoRA by rank.
struct Field {
  std::vector<const Outcome*> all, lora;
  const Outcome* full = nullptr;
};

Field field_of(const std::vector<Outcome>& outcomes) {
  Field field;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.complete()) continue;
    field.all.push_back(&outcome);
    if (outcome.run.method == Method::lora) field.lora.push_back(&outcome);
    if (outcome.run.method == Method::full && !field.full) field.full = &outcome;
  }
  std::stable_sort(field.lora.begin(), field.lora.end(),
                   [](const Outcome* a, const Outcome* b) { return a->run.rank < b->run.rank; });
  return field;
}

Claim claim_of(const std::vector<Outcome>& outcomes, Compare more) {
  const Field field = field_of(outcomes);
  if (!field.full) return Claim::undecided;
  size_t less = 0, greater = 0;
  for (const Outcome* lora : field.lora) {
    const Difference difference = more(*field.full, *lora);
    if (!difference.clear()) continue;
    (difference.value > 0 ? less : greater) += 1;
  }
  if (less + greater == 0) return Claim::undecided;
  if (less > 0 && greater > 0) return Claim::divided;
  if (greater > 0) return Claim::fails;
  return less == field.lora.size() ? Claim::holds : Claim::holds_in_part;
}

const char* verdict_of(Claim learns, Claim forgets) {
  if (learns == Claim::fails || forgets == Claim::fails) return "contradicts";
  if (learns == Claim::holds && forgets == Claim::holds) return "agrees";
  if (learns == Claim::undecided && forgets == Claim::undecided) return "can neither confirm nor deny";
  return "agrees in part";
}

std::string half_text(Claim claim, const char* verb) {
  switch (claim) {
    case Claim::holds:
      return fmt::format("every LoRA run {} clearly less than full fine-tuning", verb);
    case Claim::holds_in_part:
      return fmt::format("some LoRA runs {} clearly less than full fine-tuning and none clearly more", verb);
    case Claim::fails:
      return fmt::format("no LoRA run {} clearly less than full fine-tuning and some clearly more", verb);
    case Claim::divided:
      return fmt::format("some LoRA runs {} clearly less than full fine-tuning and some clearly more", verb);
    case Claim::undecided:
      return fmt::format("no LoRA run {} clearly less or more than full fine-tuning", verb);
  }
  return "";
}

std::string verdict_sentence(const Field& field, Claim learns, Claim forgets) {
  if (!field.full || field.lora.empty()) {
    return "With no finished pair of full fine-tuning and LoRA, these numbers can neither confirm nor deny "
           "“LoRA "
           "learns less and forgets less”.";
  }
  const char* verdict = verdict_of(learns, forgets);
  const std::string verb = std::string(verdict).starts_with("can") ? "can neither confirm nor deny" : verdict;
  return fmt::format(
      "The measurement {} {}“LoRA learns less and forgets less”: {}, and {} (clearly: by more than twice the "
      "standard "
      "error of the difference).",
      verb, verb.starts_with("agrees") ? "with " : "", half_text(learns, "learned"),
      half_text(forgets, "forgot"));
}

const Outcome* extreme(const std::vector<const Outcome*>& runs,
                       const std::function<double(const Outcome&)>& value, bool largest) {
  return *std::max_element(runs.begin(), runs.end(), [&](const Outcome* a, const Outcome* b) {
    return largest ? value(*a) < value(*b) : value(*a) > value(*b);
  });
}

// "; LoRA r4 least (+0.100)", or nothing with one run. `sign`: learning is told as the loss's change, which
// falls.
std::string least_text(const Field& field, const std::function<double(const Outcome&)>& value, int sign) {
  if (field.all.size() < 2) return "";
  const Outcome* least = extreme(field.all, value, false);
  return fmt::format("; {} least ({})", inside(*least), signed_fixed(sign * value(*least), 3));
}

std::string most_learned(const Results& results, const Field& field) {
  const Outcome* most = extreme(field.all, &Outcome::learned, true);
  if (most->learned() <= 0) {
    return fmt::format("No run learned: the held-out loss on {} fell in none of them.",
                       results.study.target.name);
  }
  return fmt::format("{} learned most: its held-out loss on {} fell from {} to {} nats per token ({}){}.",
                     most->run.label, results.study.target.name, fixed(most->target_before.loss, 3),
                     fixed(most->target_after.loss, 3), signed_fixed(-most->learned(), 3),
                     least_text(field, &Outcome::learned, -1));
}

std::string most_forgot(const Results& results, const Field& field) {
  const Outcome* most = extreme(field.all, &Outcome::forgot, true);
  if (most->forgot() <= 0) {
    return fmt::format("No run forgot: the held-out loss on {} rose in none of them ({} at most).",
                       results.study.source.name, signed_fixed(most->forgot(), 3));
  }
  return fmt::format("{} forgot most: its held-out loss on {} rose from {} to {} nats per token ({}){}.",
                     most->run.label, results.study.source.name, fixed(most->source_before.loss, 3),
                     fixed(most->source_after.loss, 3), signed_fixed(most->forgot(), 3),
                     least_text(field, &Outcome::forgot, 1));
}

// Whether more rank means more of it, with full fine-tuning as the highest rank.
std::string order_sentence(const Field& field, Compare more, const char* verb, const char* noun) {
  std::vector<const Outcome*> order = field.lora;
  if (field.full) order.push_back(field.full);
  if (order.size() < 2 || field.lora.empty()) return "";
  std::vector<std::string> broken, unclear;
  for (size_t i = 1; i < order.size(); ++i) {
    const Difference step = more(*order[i], *order[i - 1]);
    const std::string pair = fmt::format("{} and {}", inside(*order[i - 1]), inside(*order[i]));
    if (!step.clear()) unclear.push_back(pair);
    if (step.value <= 0) {
      broken.push_back(fmt::format("{} {} no more than {}", inside(*order[i]), verb, inside(*order[i - 1])));
    }
  }
  std::string text =
      broken.empty()
          ? fmt::format("{} is ordered by rank: the higher the rank, the more a run {}", noun, verb)
          : fmt::format("{} is not ordered by rank: {}", noun, joined(broken));
  if (unclear.empty()) return text + ", each step by more than twice its standard error.";
  return text + fmt::format("; the steps between {} are within twice their standard error.", joined(unclear));
}

// "learned 0.610 nats less (43.1 standard errors)"
std::string amount(const Difference& difference, const char* verb) {
  const bool has_error = std::isfinite(difference.standard_error) && difference.standard_error > 0;
  const std::string errors =
      has_error ? fixed(std::abs(difference.value) / difference.standard_error, 1) + " standard errors" : "";
  if (!difference.clear()) {
    return fmt::format("{} as much within error ({}{}{})", verb, signed_fixed(-difference.value, 3),
                       has_error ? ", " : "", errors);
  }
  const std::string text = fmt::format("{} {} nats {}", verb, fixed(std::abs(difference.value), 3),
                                       difference.value > 0 ? "less" : "more");
  return has_error ? fmt::format("{} ({})", text, errors) : text;
}

// Each LoRA run against the full one, and what full fine-tuning had forgotten at the same amount learned.
std::vector<std::string> pair_sentences(const Results& results, const Field& field) {
  std::vector<std::string> sentences;
  if (!field.full) return sentences;
  for (const Outcome* lora : field.lora) {
    std::string text = fmt::format("Against {}, {} {} and {}.", inside(*field.full), inside(*lora),
                                   amount(learned_more(*field.full, *lora), "learned"),
                                   amount(forgot_more(*field.full, *lora), "forgot"));
    const double cost = forgot_when_learned(results, field.full->run.name, lora->learned());
    if (std::isfinite(cost) && lora->learned() > 0) {
      text += fmt::format(" When {} had learned that much, it had forgotten {}, against {}.",
                          inside(*field.full), signed_fixed(cost, 3), signed_fixed(lora->forgot(), 3));
    }
    sentences.push_back(text);
  }
  return sentences;
}

std::string unfinished_sentence(const std::vector<Outcome>& outcomes) {
  std::vector<std::string> diverged, lacking;
  for (const Outcome& outcome : outcomes) {
    if (outcome.diverged) {
      diverged.push_back(outcome.run.label);
    } else if (!outcome.complete()) {
      lacking.push_back(outcome.run.label);
    }
  }
  std::string text;
  if (!diverged.empty())
    text += fmt::format("{} diverged and is left out of the comparisons. ", joined(diverged));
  if (!lacking.empty())
    text +=
        fmt::format("{} lacks a score before or after and is left out of the comparisons. ", joined(lacking));
  if (!text.empty()) text.pop_back();
  return text;
}

std::string entropy_sentence(const Results& results, const Field& field) {
  const auto one = [](const Corpus& corpus, double loss) {
    if (!std::isfinite(loss) || !std::isfinite(corpus.unigram_entropy)) return std::string();
    return fmt::format("{} nats on {} (the base: {}, {})", fixed(corpus.unigram_entropy, 3), corpus.name,
                       fixed(loss, 3), loss < corpus.unigram_entropy ? "below it" : "not below it");
  };
  if (field.all.empty()) return "";
  std::vector<std::string> parts;
  for (const std::string& part : {one(results.study.source, field.all.front()->source_before.loss),
                                  one(results.study.target, field.all.front()->target_before.loss)}) {
    if (!part.empty()) parts.push_back(part);
  }
  if (parts.empty()) return "";
  return fmt::format("A model that knew only how often each token occurs would score {}.", joined(parts));
}

std::string spectrum_sentence(const Field& field) {
  std::vector<std::string> parts;
  for (const Outcome* outcome : field.all) {
    if (std::isfinite(outcome->rank90))
      parts.push_back(fmt::format("{} for {}", fixed(outcome->rank90, 0), inside(*outcome)));
  }
  if (parts.empty()) return "";
  return fmt::format(
      "The rank that holds 90% of the change's variance, median over the blocks' matrices: {}.",
      joined(parts));
}

// With the verb in the form that fits the headline's end.
std::string headline_of(const Field& field, const std::string& verdict) {
  if (field.all.empty()) return "No run finished with finite scores, so nothing can be compared";
  const Outcome* learner = extreme(field.all, &Outcome::learned, true);
  const Outcome* forgetter = extreme(field.all, &Outcome::forgot, true);
  if (field.all.size() == 1) {
    return fmt::format("{} changed the target loss by {} and the source loss by {} nats per token",
                       learner->run.label, signed_fixed(-learner->learned(), 2),
                       signed_fixed(learner->forgot(), 2));
  }
  const bool any_learned = learner->learned() > 0, any_forgot = forgetter->forgot() > 0;
  std::string text = any_learned ? fmt::format("{} learned most ({} nats per token)", learner->run.label,
                                               signed_fixed(-learner->learned(), 2))
                                 : "No run learned";
  if (!any_forgot) {
    text += any_learned ? " and no run forgot" : " and none forgot";
  } else if (any_learned && forgetter == learner) {
    text += fmt::format(" and forgot most ({})", signed_fixed(forgetter->forgot(), 2));
  } else {
    text += fmt::format(", {} forgot most ({})", inside(*forgetter), signed_fixed(forgetter->forgot(), 2));
  }
  if (!field.full || field.lora.empty()) return text;
  return text + fmt::format(". This {} {}“LoRA learns less and forgets less”", verdict,
                            verdict.starts_with("agrees") ? "with " : "");
}

}  // namespace

Claim learns_less(const std::vector<Outcome>& outcomes) {
  return claim_of(outcomes, learned_more);
}

Claim forgets_less(const std::vector<Outcome>& outcomes) {
  return claim_of(outcomes, forgot_more);
}

Findings findings_of(const Results& results, const std::vector<Outcome>& outcomes) {
  const Field field = field_of(outcomes);
  const Claim learns = learns_less(outcomes), forgets = forgets_less(outcomes);
  Findings findings;
  findings.verdict = verdict_of(learns, forgets);
  findings.headline = headline_of(field, findings.verdict);
  const auto add = [&](const std::string& sentence) {
    if (!sentence.empty()) findings.sentences.push_back(sentence);
  };
  add(verdict_sentence(field, learns, forgets));
  if (!field.all.empty()) {
    add(most_learned(results, field));
    add(most_forgot(results, field));
  }
  add(order_sentence(field, learned_more, "learned", "Learning"));
  add(order_sentence(field, forgot_more, "forgot", "Forgetting"));
  for (const std::string& sentence : pair_sentences(results, field)) add(sentence);
  add(spectrum_sentence(field));
  add(entropy_sentence(results, field));
  add(unfinished_sentence(outcomes));
  return findings;
}

}  // namespace lethe::report
