#include "engine/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lethe {

int64_t elements_of(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

std::string text_of(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::weight:
      return "weights";
    case Kind::gradient:
      return "gradients";
    case Kind::optimizer:
      return "optimizer";
    case Kind::activation:
      return "activations";
    case Kind::workspace:
      return "workspace";
    case Kind::input:
      return "inputs";
    case Kind::step_value:
      return "step values";
    case Kind::cache:
      return "kept keys and values";
  }
  return "?";
}

}  // namespace lethe
