// Where words go so that they do not lie on each other.
#pragma once

#include <vector>

#include "tools/report/svg.h"

namespace lethe::report {

// Positions as near as may be to the wanted ones (least squares), in the same order, at least `distance`
// apart and inside [low, high]; when they cannot all fit there they keep the distance and overrun `high`.
std::vector<double> spread(const std::vector<double>& wanted, double distance, double low, double high);

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

// The area that both cover.
double overlap(const Box& a, const Box& b);

// A box of this size beside `point`: of the places around it the first that neither covers an obstacle nor
// leaves `bounds`, or else the one that does so least.
Box place_beside(Place point, double width, double height, const std::vector<Box>& obstacles,
                 const Box& bounds);

}  // namespace lethe::report
