// A matrix product as a library sees it, the algorithm chosen for it, and both as text, so that a choice can
// be kept. Knows nothing of CUDA.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "kernels/rows.h"

namespace lethe::kernels {

enum class MatmulForm { nt, nn, tn };  // see kernels/matmul.h
enum class MatmulType : uint8_t { f64, f32, bf16 };

template <class T>
constexpr MatmulType matmul_type = sizeof(T) == 8   ? MatmulType::f64
                                   : sizeof(T) == 4 ? MatmulType::f32
                                                    : MatmulType::bf16;
int64_t size_of(MatmulType type);

// All that the choice of an algorithm depends on; arrays go A, B, C.
struct MatmulProduct {
  MatmulForm form = MatmulForm::nt;
  std::array<MatmulType, 3> types{};
  int64_t m = 0, n = 0, k = 0;
  std::array<int64_t, 3> pitches{};     // in elements
  std::array<int64_t, 3> alignments{};  // of the addresses, in bytes: powers of two up to 256
  Write write = Write::overwrite;
  int64_t workspace = 0;  // bytes

  auto operator<=>(const MatmulProduct&) const = default;

  // A multiply-add counts as two.
  double flops() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
  // Of A, B or C as stored, padding between rows included.
  int64_t bytes(size_t operand) const;
};

struct MatmulProductHash {
  size_t operator()(const MatmulProduct& product) const;
};

// "nt bf16 bf16 f32 8192 12288 4096 4096 4096 12288 256 256 256 overwrite 67108864": the members in their
// order.
std::string text_of(const MatmulProduct& product);
// Nothing for a text that text_of did not make.
std::optional<MatmulProduct> matmul_product_from(const std::string& text);

// An algorithm in the library's own encoding, which means the same to the same version of the library alone.
using MatmulAlgorithm = std::array<uint64_t, 8>;

// An algorithm of our own for a product with a thin side (kernels/cuda/matmul_thin.h): how much of the wide
// side a block computes, and into how many parts the sum is split. Carried as a MatmulAlgorithm that the
// library never makes.
struct OwnAlgorithm {
  int tile = 0, parts = 0;
  bool operator==(const OwnAlgorithm&) const = default;
};
MatmulAlgorithm encoded(const OwnAlgorithm& algorithm);
// Nothing for one of the library's.
std::optional<OwnAlgorithm> own_algorithm(const MatmulAlgorithm& algorithm);

// 128 hexadecimal digits, or "own 128 4": tile and parts.
std::string text_of(const MatmulAlgorithm& algorithm);
std::optional<MatmulAlgorithm> matmul_algorithm_from(const std::string& text);

struct MatmulChoice {
  MatmulAlgorithm algorithm{};
  double microseconds = 0;
  bool operator==(const MatmulChoice&) const = default;
};
using MatmulChoices = std::map<MatmulProduct, MatmulChoice>;

// What timing a product's candidates found.
struct MatmulTuning {
  MatmulProduct product;
  int64_t uses = 0;  // launches, where each program runs once
  std::string
      not_timed;  // why, in a few words; the rest is 0 then, but for best_us of a choice kept from before
  double first_us = 0;  // median of the algorithm that is used untuned, 0 if it does not run,
  double best_us = 0;   // and of the fastest
  int which = 0;        // the fastest's place among the candidates; 0: the one that is used untuned
  int candidates = 0;   // how many ran, with the same bits each time
  MatmulChoice choice;
};

struct MatmulTuneOptions {
  double seconds = 120;  // no further product is begun after these
  bool again = false;    // also the products that a choice was kept for
  // Called after each product, timed or not.
  std::function<void(const MatmulTuning&, size_t done, size_t total)> progress;
};

}  // namespace lethe::kernels
