// The file: a line with the format's name, a line that names the machine, then a line for each product:
// the product, its algorithm (cuBLASLt's or, as words, our own) and its microseconds, with semicolons
// between.
#include "engine/backend/matmul_cache.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "engine/files/text_file.h"
#include "engine/log.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "lethe-matmul-1";

std::string machine_line(const MatmulMachine& m) {
  return fmt::format("{}, {} multiprocessors, driver {}, cuBLASLt {}", m.gpu, m.multiprocessors, m.driver,
                     m.library);
}

std::string file_name(const MatmulMachine& m) {
  std::string name =
      fmt::format("{}-{}sm-driver{}-cublaslt{}.txt", m.gpu, m.multiprocessors, m.driver, m.library);
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.') c = '_';
  }
  return name;
}

std::string line_of(const kernels::MatmulProduct& product, const kernels::MatmulChoice& choice) {
  return fmt::format("{};{};{:.3f}\n", text_of(product), kernels::text_of(choice.algorithm),
                     choice.microseconds);
}

// Throws FormatError.
std::pair<kernels::MatmulProduct, kernels::MatmulChoice> parse_line(const std::string& file, int number,
                                                                    const std::string& line) {
  const size_t first = line.find(';'),
               second = line.find(';', first == std::string::npos ? first : first + 1);
  if (second != std::string::npos) {
    const auto product = kernels::matmul_product_from(line.substr(0, first));
    const auto algorithm = kernels::matmul_algorithm_from(line.substr(first + 1, second - first - 1));
    double microseconds = -1;
    const char* const end = line.data() + line.size();
    const auto [stopped, error] = std::from_chars(line.data() + second + 1, end, microseconds);
    if (product && algorithm && error == std::errc() && stopped == end && std::isfinite(microseconds) &&
        microseconds >= 0) {
      return {*product, {*algorithm, microseconds}};
    }
  }
  throw FormatError(file, fmt::format("line {}", number), "is not a product with its algorithm");
}

kernels::MatmulChoices parse(const std::string& file, const std::string& header, const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != kFormat) {
    throw FormatError(file, "line 1", fmt::format("is not {}", kFormat));
  }
  if (!std::getline(lines, line) || line != header) {
    throw FormatError(file, "line 2", fmt::format("is not of this machine, which is {}", header));
  }
  if (text.back() != '\n') throw FormatError(file, "", "ends within a line");
  kernels::MatmulChoices choices;
  for (int number = 3; std::getline(lines, line); ++number) choices.insert(parse_line(file, number, line));
  return choices;
}

}  // namespace

MatmulCache::MatmulCache(std::string folder, const MatmulMachine& machine)
    : folder_(std::move(folder)), file_(folder_ + "/" + file_name(machine)), header_(machine_line(machine)) {}

kernels::MatmulChoices MatmulCache::load() const {
  std::error_code none;
  if (folder_.empty() || !fs::exists(file_, none)) return {};
  try {
    return parse(file_, header_, read_text(file_));
  } catch (const Error& e) {
    log::warning(fmt::format("algorithms of matrix products are not taken from {}", e.what()));
    return {};
  }
}

void MatmulCache::require_writable() const {
  if (folder_.empty()) {
    throw IoError("the cache of matrix products", "has no folder: neither XDG_CACHE_HOME nor HOME is set");
  }
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw IoError(folder_, error.message());
  // Opening the sibling is what a later replacement begins with.
  const FileReplacement probe(file_);
}

void MatmulCache::merge(const kernels::MatmulChoices& choices) const {
  require_writable();
  kernels::MatmulChoices all = load();
  for (const auto& [product, choice] : choices) all.insert_or_assign(product, choice);
  std::string text = fmt::format("{}\n{}\n", kFormat, header_);
  for (const auto& [product, choice] : all) text += line_of(product, choice);
  replace_file(file_, text);
}

}  // namespace lethe
