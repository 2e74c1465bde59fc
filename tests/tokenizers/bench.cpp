// tokenizer_bench TOKENIZER LINES: encodes the JSON strings of a file, a line each, with one thread and with
// all, and prints the best of some repetitions as JSON: bytes, ids, seconds. tests/tokenizers/bench.py holds
// it against others.
#include <omp.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/tokenizer.h"

namespace {

double seconds_of(const lethe::Tokenizer& tokenizer, const std::vector<std::string>& texts, int64_t& ids) {
  const auto begin = std::chrono::steady_clock::now();
  int64_t count = 0;
#pragma omp parallel for schedule(dynamic, 16) reduction(+ : count)
  for (int64_t i = 0; i < std::ssize(texts); ++i)
    count += std::ssize(tokenizer.encode(texts[i], {.parse_special = true}));
  ids = count;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "tokenizer_bench TOKENIZER LINES\n";
    return 2;
  }
  const auto load_begin = std::chrono::steady_clock::now();
  const auto tokenizer = lethe::open_tokenizer(arguments[1]);
  const double load = std::chrono::duration<double>(std::chrono::steady_clock::now() - load_begin).count();
  std::vector<std::string> texts;
  std::ifstream file(arguments[2]);
  int64_t bytes = 0, ids = 0;
  for (std::string line; std::getline(file, line);) {
    texts.push_back(nlohmann::json::parse(line).get<std::string>());
    bytes += std::ssize(texts.back());
  }
  nlohmann::json result{{"bytes", bytes}, {"load", load}};
  const int all = omp_get_max_threads();
  for (const int threads : {1, all}) {
    omp_set_num_threads(threads);
    double best = 1e9;
    for (int repetition = 0; repetition < 3; ++repetition)
      best = std::min(best, seconds_of(*tokenizer, texts, ids));
    result["seconds"][std::to_string(threads)] = best;
  }
  result["ids"] = ids;
  std::cout << result.dump() << "\n";
}
