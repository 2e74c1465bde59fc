#include "tools/bench/products.h"

#include <cblas.h>

#include <algorithm>
#include <chrono>

#include "engine/rng.h"

namespace lethe {
namespace {

using kernels::MatmulForm;

bool form_of(std::string_view op, MatmulForm& form) {
  if (op == "matmul_nt" || op == "lora_linear")
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

bool MatrixProduct::same_as(const MatrixProduct& q) const {
  return form == q.form && m == q.m && n == q.n && k == q.k && accumulates == q.accumulates && a == q.a &&
         b == q.b && c == q.c;
}

std::string form_text(const MatrixProduct& p) {
  const char* form = p.form == MatmulForm::nt ? "nt" : p.form == MatmulForm::nn ? "nn" : "tn";
  return std::string(form) + (p.accumulates ? " +=" : "");
}

std::string types_text(const MatrixProduct& p) {
  const auto name = [](DType dtype) {
    return dtype == DType::bf16 ? "bf16" : dtype == DType::f64 ? "f64" : "f32";
  };
  return std::string(name(p.a)) + " " + name(p.b) + " " + name(p.c);
}

std::optional<MatrixProduct> product_of(const Tape& tape, const Node& node) {
  MatrixProduct p;
  if (!form_of(node.op->name(), p.form)) return std::nullopt;
  const TensorInfo &a = tape.info(node.inputs[0]), &c = tape.info(node.outputs[0].var);
  p.m = c.rows();
  p.n = c.width();
  p.k = p.form == MatmulForm::tn ? a.rows() : a.width();
  p.accumulates = node.outputs[0].access == Access::accumulate;
  p.a = a.dtype;
  p.b = tape.info(node.inputs[1]).dtype;
  p.c = c.dtype;
  p.count = 1;
  return p;
}

std::vector<MatrixProduct> matrix_products(const Tape& tape) {
  std::vector<MatrixProduct> found;
  for (const Node& node : tape.nodes()) {
    const auto p = product_of(tape, node);
    if (!p) continue;
    const auto same = std::ranges::find_if(found, [&](const MatrixProduct& q) { return q.same_as(*p); });
    if (same == found.end()) {
      found.push_back(*p);
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
