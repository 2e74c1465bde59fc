#include "kernels/matmul_product.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string_view>

namespace lethe::kernels {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 3> kForms = {"nt", "nn", "tn"};
constexpr std::array<std::string_view, 3> kTypes = {"f64", "f32", "bf16"};
constexpr uint64_t kOwn = 0x6e776f2065687465;  // marks what is no algorithm of the library's
constexpr std::array<std::string_view, 2> kWrites = {"overwrite", "accumulate"};

template <class E, size_t N>
std::string_view name_of(E value, const std::array<std::string_view, N>& names) {
  return names[static_cast<size_t>(value)];
}

template <class E, size_t N>
bool read(std::istream& in, E& value, const std::array<std::string_view, N>& names) {
  std::string word;
  if (!(in >> word)) return false;
  const auto at = std::ranges::find(names, word);
  if (at == names.end()) return false;
  value = static_cast<E>(at - names.begin());
  return true;
}

}  // namespace

int64_t size_of(MatmulType type) {
  return type == MatmulType::f64 ? 8 : type == MatmulType::f32 ? 4 : 2;
}

int64_t MatmulProduct::bytes(size_t operand) const {
  const std::array<int64_t, 3> rows = {form == MatmulForm::tn ? k : m, form == MatmulForm::nt ? n : k, m};
  return rows[operand] * pitches[operand] * size_of(types[operand]);
}

size_t MatmulProductHash::operator()(const MatmulProduct& p) const {
  uint64_t hash = 0xcbf29ce484222325;
  // FNV-1a (Fowler, Noll, Vo), a word at a time, the high bits folded down.
  const auto add = [&](auto value) {
    hash = (hash ^ static_cast<uint64_t>(value)) * 0x100000001b3;
    hash ^= hash >> 32;
  };
  add(p.form);
  add(p.write);
  for (const int64_t v : {p.m, p.n, p.k, p.workspace}) add(v);
  for (size_t i = 0; i < 3; ++i) add(p.types[i]), add(p.pitches[i]), add(p.alignments[i]);
  return hash;
}

std::string text_of(const MatmulProduct& p) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << name_of(p.form, kForms);
  for (const MatmulType t : p.types) out << ' ' << name_of(t, kTypes);
  for (const int64_t v : {p.m, p.n, p.k}) out << ' ' << v;
  for (const int64_t v : p.pitches) out << ' ' << v;
  for (const int64_t v : p.alignments) out << ' ' << v;
  out << ' ' << name_of(p.write, kWrites) << ' ' << p.workspace;
  return out.str();
}

std::optional<MatmulProduct> matmul_product_from(const std::string& text) {
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  MatmulProduct p;
  bool good = read(in, p.form, kForms);
  for (MatmulType& t : p.types) good = good && read(in, t, kTypes);
  for (int64_t* v : {&p.m, &p.n, &p.k}) good = good && in >> *v;
  for (int64_t& v : p.pitches) good = good && in >> v;
  for (int64_t& v : p.alignments) good = good && in >> v;
  good = good && read(in, p.write, kWrites) && in >> p.workspace;
  if (!good || text_of(p) != text) return {};
  return p;
}

MatmulAlgorithm encoded(const OwnAlgorithm& algorithm) {
  return {kOwn, static_cast<uint64_t>(algorithm.tile), static_cast<uint64_t>(algorithm.parts), 0, 0, 0, 0,
          kOwn};
}

std::optional<OwnAlgorithm> own_algorithm(const MatmulAlgorithm& algorithm) {
  const OwnAlgorithm own{static_cast<int>(algorithm[1]), static_cast<int>(algorithm[2])};
  if (encoded(own) != algorithm) return {};
  return own;
}

std::string text_of(const MatmulAlgorithm& algorithm) {
  if (const auto own = own_algorithm(algorithm)) {
    return "own " + std::to_string(own->tile) + ' ' + std::to_string(own->parts);
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const uint64_t word : algorithm) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[word >> shift & 15];
  }
  return text;
}

std::optional<MatmulAlgorithm> matmul_algorithm_from(const std::string& text) {
  if (text.starts_with("own ")) {
    std::istringstream in(text.substr(4));
    in.imbue(std::locale::classic());
    OwnAlgorithm own;
    if (!(in >> own.tile >> own.parts) || text_of(encoded(own)) != text) return {};
    return encoded(own);
  }
  constexpr size_t kDigitsOfAWord = 16;
  MatmulAlgorithm algorithm{};
  if (text.size() != algorithm.size() * kDigitsOfAWord) return {};
  for (size_t i = 0; i < algorithm.size(); ++i) {
    const char* const first = text.data() + i * kDigitsOfAWord;
    const auto [end, error] = std::from_chars(first, first + kDigitsOfAWord, algorithm[i], 16);
    if (error != std::errc() || end != first + kDigitsOfAWord) return {};
  }
  return algorithm;
}

}  // namespace lethe::kernels
