#include "tools/report/labels.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace lethe::report {

std::vector<double> spread(const std::vector<double>& wanted, double distance, double low, double high) {
  std::vector<size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return wanted[a] < wanted[b]; });
  // Neighbours that would overlap become one group, centred on the mean of what its members want.
  struct Group {
    double sum = 0;  // of wanted position less the offset within the group
    int count = 0;
    double first = 0;
    double end(double step) const { return first + count * step; }
  };
  std::vector<Group> groups;
  for (const size_t index : order) {
    Group group{wanted[index], 1, std::max(low, wanted[index])};
    while (!groups.empty() && groups.back().end(distance) > group.first) {
      const Group before = groups.back();
      groups.pop_back();
      group.sum += before.sum - group.count * before.count * distance;
      group.count += before.count;
      group.first = std::max(low, group.sum / group.count);
    }
    groups.push_back(group);
  }
  std::vector<double> places(wanted.size());
  size_t next = 0;
  for (const Group& group : groups) {
    for (int i = 0; i < group.count; ++i) places[order[next++]] = group.first + i * distance;
  }
  double limit = high;
  for (size_t i = order.size(); i-- > 0; limit -= distance) {
    places[order[i]] = std::max(std::min(places[order[i]], limit), low + static_cast<double>(i) * distance);
    limit = places[order[i]];
  }
  return places;
}

double overlap(const Box& a, const Box& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

Box place_beside(Place point, double width, double height, const std::vector<Box>& obstacles,
                 const Box& bounds) {
  std::vector<Place> corners;
  for (const double gap : {10.0, 16.0, 26.0}) {
    const double left = point.x - gap - width, right = point.x + gap, middle = point.x - width / 2;
    const double above = point.y - gap - height, below = point.y + gap, level = point.y - height / 2;
    for (const Place corner : {Place{right, level},
                               {left, level},
                               {middle, above},
                               {middle, below},
                               {right, above + gap / 2},
                               {right, below - gap / 2},
                               {left, above + gap / 2},
                               {left, below - gap / 2}}) {
      corners.push_back(corner);
    }
  }
  Box best;
  double least = std::numeric_limits<double>::infinity();
  for (const Place& corner : corners) {
    const Box box{corner.x, corner.y, corner.x + width, corner.y + height};
    double cost = 4 * (width * height - overlap(box, bounds));
    for (const Box& obstacle : obstacles) cost += overlap(box, obstacle);
    if (cost < least - 1e-9) {
      least = cost;
      best = box;
    }
  }
  return best;
}

}  // namespace lethe::report
