#include "tools/bench/products.h"

#include <cblas.h>

#include <algorithm>
#include <chrono>

#include "engine/rng.h"

namespace lethe {
namespace {

using kernels::MatmulForm;

bool form_of(std::string_view op, MatmulForm& form) {
  if (op == "matmul_nt")
    form = MatmulForm::nt;
  else if (op == "matmul_nn")
    form = MatmulForm::nn;
  else if (op == "matmul_tn")
    form = MatmulForm::tn;
  else
    return false;
  return true;
}

std::vector<float> random_values(int64_t count, const char* stream) {
  const Rng rng(1, stream_of(stream));
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng.uniform(i)) - 0.5f;
  return values;
}

void sgemm(const MatrixProduct& p, const float* a, const float* b, float* c) {
  const bool ta = p.form == MatmulForm::tn, tb = p.form == MatmulForm::nt;
  const auto size = [](int64_t value) { return static_cast<blasint>(value); };
  cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, size(p.m),
              size(p.n), size(p.k), 1, a, size(ta ? p.m : p.k), b, size(tb ? p.k : p.n),
              p.accumulates ? 1 : 0, c, size(p.n));
}

}  // namespace

double MatrixProduct::flops() const {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) *
         static_cast<double>(count);
}

std::vector<MatrixProduct> matrix_products(const Tape& tape) {
  std::vector<MatrixProduct> found;
  for (const Node& node : tape.nodes()) {
    MatrixProduct p;
    if (!form_of(node.op->name(), p.form)) continue;
    const TensorInfo &a = tape.info(node.inputs[0]), &c = tape.info(node.outputs[0].var);
    p.m = c.rows();
    p.n = c.width();
    p.k = p.form == MatmulForm::tn ? a.rows() : a.width();
    p.accumulates = node.outputs[0].access == Access::accumulate;
    const auto same = std::ranges::find_if(found, [&](const MatrixProduct& q) {
      return q.form == p.form && q.m == p.m && q.n == p.n && q.k == p.k && q.accumulates == p.accumulates;
    });
    if (same == found.end()) {
      found.push_back(p);
      found.back().count = 1;
    } else {
      ++same->count;
    }
  }
  return found;
}

double attention_flops(const Tape& tape) {
  double flops = 0;
  for (const Node& node : tape.nodes()) {
    if (node.op->name() == "attention" || node.op->name() == "attention_backward") {
      flops += node.op->cost(node, tape).flops;
    }
  }
  return flops;
}

SgemmPeer::SgemmPeer(std::vector<MatrixProduct> products, int threads)
    : products_(std::move(products)), threads_(threads) {
  int64_t a = 0, b = 0, c = 0;
  for (const MatrixProduct& p : products_) {
    a = std::max(a, p.m * p.k);
    b = std::max(b, p.n * p.k);
    c = std::max(c, p.m * p.n);
  }
  a_ = random_values(a, "bench.a");
  b_ = random_values(b, "bench.b");
  c_ = random_values(c, "bench.c");
}

std::vector<double> SgemmPeer::seconds() {
  std::vector<double> all;
  openblas_set_num_threads(threads_);
  for (const MatrixProduct& p : products_) {
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < p.count; ++i) sgemm(p, a_.data(), b_.data(), c_.data());
    all.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  openblas_set_num_threads(1);
  return all;
}

}  // namespace lethe
