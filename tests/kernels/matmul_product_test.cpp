#include "kernels/matmul_product.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/matmul.h"

namespace lethe::test {
namespace {

using kernels::MatmulForm;
using kernels::MatmulProduct;
using kernels::MatmulType;
using kernels::Write;

MatmulProduct sample() {
  return {.form = MatmulForm::tn,
          .types = {MatmulType::bf16, MatmulType::bf16, MatmulType::f32},
          .m = 12288,
          .n = 4096,
          .k = 8192,
          .pitches = {12480, 4160, 4096},
          .alignments = {256, 16, 128},
          .write = Write::accumulate,
          .workspace = 1 << 26};
}

TEST(MatmulProduct, IsTextAndBack) {
  EXPECT_EQ(text_of(sample()),
            "tn bf16 bf16 f32 12288 4096 8192 12480 4160 4096 256 16 128 accumulate 67108864");
  for (const MatmulForm form : {MatmulForm::nt, MatmulForm::nn, MatmulForm::tn}) {
    for (const MatmulType type : {MatmulType::f64, MatmulType::f32, MatmulType::bf16}) {
      for (const Write write : {Write::overwrite, Write::accumulate}) {
        MatmulProduct p = sample();
        p.form = form;
        p.types = {type, type, type};
        p.write = write;
        EXPECT_EQ(kernels::matmul_product_from(text_of(p)), p) << text_of(p);
      }
    }
  }
}

TEST(MatmulProduct, IsNotMadeOfOtherText) {
  const std::string good = text_of(sample());
  for (const std::string& text :
       {std::string(), std::string("tn"), "x" + good, good + " 1", good + " ",
        good.substr(0, good.size() - 9), " " + good, "tt" + good.substr(2), good + "x"}) {
    EXPECT_FALSE(kernels::matmul_product_from(text)) << text;
  }
}

// Every member tells products apart, for the map and for the file.
TEST(MatmulProduct, DiffersInEveryMember) {
  std::vector<MatmulProduct> all(12, sample());
  all[1].form = MatmulForm::nn;
  all[2].types[2] = MatmulType::bf16;
  all[3].m = 1;
  all[4].n = 1;
  all[5].k = 1;
  all[6].pitches[0] = 1;
  all[7].pitches[2] = 1;
  all[8].alignments[0] = 2;
  all[9].alignments[2] = 2;
  all[10].write = Write::overwrite;
  all[11].workspace = 0;
  std::set<MatmulProduct> ordered(all.begin(), all.end());
  std::set<std::string> texts;
  std::set<size_t> hashes;
  for (const MatmulProduct& p : all) {
    texts.insert(text_of(p));
    hashes.insert(kernels::MatmulProductHash()(p));
  }
  EXPECT_EQ(ordered.size(), all.size());
  EXPECT_EQ(texts.size(), all.size());
  EXPECT_EQ(hashes.size(), all.size());
}

TEST(MatmulProduct, CountsItsOperandsAsStored) {
  MatmulProduct p = sample();
  p.m = 3, p.n = 5, p.k = 7;
  p.pitches = {11, 13, 17};
  EXPECT_EQ(p.flops(), 210);
  EXPECT_EQ(p.bytes(0), 7 * 11 * 2);
  EXPECT_EQ(p.bytes(1), 7 * 13 * 2);
  EXPECT_EQ(p.bytes(2), 3 * 17 * 4);
  p.form = MatmulForm::nt;
  EXPECT_EQ(p.bytes(0), 3 * 11 * 2);
  EXPECT_EQ(p.bytes(1), 5 * 13 * 2);
  p.form = MatmulForm::nn;
  EXPECT_EQ(p.bytes(1), 7 * 13 * 2);
}

TEST(MatmulAlgorithm, IsHexadecimalAndBack) {
  const kernels::MatmulAlgorithm algorithm = {0, 1, 0x0123456789abcdef, ~uint64_t{0}, 5,
                                              6, 7, uint64_t{1} << 63};
  const std::string text = kernels::text_of(algorithm);
  EXPECT_EQ(text.size(), 128u);
  EXPECT_EQ(text.substr(32, 16), "0123456789abcdef");
  EXPECT_EQ(kernels::matmul_algorithm_from(text), algorithm);
  EXPECT_FALSE(kernels::matmul_algorithm_from(""));
  EXPECT_FALSE(kernels::matmul_algorithm_from(text + "0"));
  EXPECT_FALSE(kernels::matmul_algorithm_from(std::string("g").append(text, 1)));
  EXPECT_FALSE(kernels::matmul_algorithm_from(std::string("-").append(text, 1)));
}

TEST(MatmulAlgorithm, OfOurOwnIsWordsAndBack) {
  const kernels::OwnAlgorithm own{256, 3};
  const kernels::MatmulAlgorithm algorithm = kernels::encoded(own);
  EXPECT_EQ(kernels::own_algorithm(algorithm), own);
  EXPECT_EQ(kernels::text_of(algorithm), "own 256 3");
  EXPECT_EQ(kernels::matmul_algorithm_from("own 256 3"), algorithm);
  for (const char* wrong :
       {"own", "own 256", "own 256 3 ", "own 256 3 1", "own x 3", "own 0256 3", "own  256 3"}) {
    EXPECT_FALSE(kernels::matmul_algorithm_from(wrong)) << wrong;
  }
  EXPECT_FALSE(kernels::own_algorithm({}));
  EXPECT_FALSE(kernels::own_algorithm({0, 256, 3}));
}

// Sizes alone decide, on any machine; a small product asks for little.
TEST(MatmulWorkspace, GrowsWithTheOutputUpToItsLimit) {
  const auto bytes = [](int64_t m, int64_t n) {
    return kernels::cuda::matmul_workspace_bytes<bf16, bf16, bf16>(m, n, 4096);
  };
  EXPECT_EQ(bytes(0, 7), 0);
  EXPECT_EQ(bytes(1, 7), 7 * 128);
  EXPECT_LE(bytes(64, 64), 1 << 20);
  EXPECT_EQ(bytes(8192, 4096), 64 << 20);
}

}  // namespace
}  // namespace lethe::test
