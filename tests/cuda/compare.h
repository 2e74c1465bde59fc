// What the tests on a GPU share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/host_values.h"
#include "engine/session.h"

// First line of every test here.
#define LETHE_NEEDS_GPU() \
  if (!cuda_is_available()) GTEST_SKIP() << "this machine has no GPU that CUDA can use"

namespace lethe::test {

// Tensors by name.
using Found = std::map<std::string, std::vector<double>>;

inline double length_of(const std::vector<double>& x) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  return std::sqrt(squares);
}

// ||got - expected|| / max(||expected||, floor); infinite where the sizes differ or something is not a
// number.
inline double distance(const std::vector<double>& got, const std::vector<double>& expected,
                       double floor = 1e-30) {
  if (got.size() != expected.size()) return INFINITY;
  double squares = 0;
  for (size_t i = 0; i < got.size(); ++i) squares += (got[i] - expected[i]) * (got[i] - expected[i]);
  const double relative = std::sqrt(squares) / std::max(length_of(expected), floor);
  return std::isnan(relative) ? INFINITY : relative;
}

// The loss and the gradients of all trained tensors, after a run.
inline Found loss_and_gradients(const Session& session, const std::string& loss) {
  Found found;
  found[loss] = host_values(session, loss);
  for (const int32_t p : session.state().trainable()) {
    const std::string name = State::gradient_name(session.state()[p].name);
    if (session.state().find(name) >= 0) found[name] = host_values(session, name);
  }
  return found;
}

}  // namespace lethe::test
