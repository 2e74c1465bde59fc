#include "data/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "data/tokenizer/utf8.h"
#include "engine/error.h"

namespace lethe {
namespace {

// Far beyond what a tokenizer's expression needs for one match, some tenths of a second when it is hostile.
constexpr uint32_t most_steps = 5'000'000;
constexpr size_t jit_stack_bytes = size_t{1} << 20;

// What matching writes to: one set a thread.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(size_t{32} << 10, jit_stack_bytes, nullptr);

  Scratch() {
    pcre2_set_match_limit(context, most_steps);
    pcre2_set_depth_limit(context, 20'000);
    pcre2_set_heap_limit(context, 64 << 10);  // KiB
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Scratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

std::string message_of(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

Regex::Regex(const std::string& oniguruma) : source_(oniguruma) {
  const std::string pattern = to_pcre2(oniguruma);
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE place = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &place, context.get());
  if (code == nullptr) {
    throw DataError(fmt::format("the expression {} cannot be compiled: {} (as {}, at byte {})", oniguruma,
                                message_of(error), pattern, place));
  }
  code_ = std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  // Without it (a machine that JIT does not know) matching is slower and the same.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

bool Regex::find(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  thread_local Scratch scratch;
  const int found =
      pcre2_match(static_cast<const pcre2_code*>(code_.get()), reinterpret_cast<PCRE2_SPTR>(text.data()),
                  text.size(), from, PCRE2_NO_UTF_CHECK, scratch.data, scratch.context);
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    throw DataError(fmt::format("the expression {} gave up at byte {} of a text of {}: {}", source_, from,
                                text.size(), message_of(found)));
  }
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(scratch.data);
  begin = offsets[0];
  end = offsets[1];
  return true;
}

size_t Regex::after_character(std::string_view text, size_t at) {
  return at < text.size() ? at + code_point_at(text, at).bytes : at + 1;
}

}  // namespace lethe
