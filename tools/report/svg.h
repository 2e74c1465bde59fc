// The few SVG elements that the figures are made of. Colours and strokes are classes (style.h), so that one
// drawing serves alone, inside a light page and inside a dark one.
#pragma once

#include <string>
#include <vector>

namespace lethe::report {

struct Place {
  double x = 0, y = 0;
};

enum class Marker { circle, square, triangle, diamond };

enum class Anchor { start, middle, end };

class Svg {
 public:
  void line(Place from, Place to, const std::string& css_class);
  // Straight segments through the places; nothing for fewer than two.
  void polyline(const std::vector<Place>& places, const std::string& css_class);
  // `tip` is shown by a browser when the pointer rests on the marker; empty: none.
  void marker(Marker shape, Place at, double radius, const std::string& css_class, const std::string& tip);
  // Two crossing strokes: a value that is not on the scale.
  void cross(Place at, double radius, const std::string& css_class, const std::string& tip);
  void rectangle(Place corner, double width, double height, const std::string& css_class);
  void text(Place at, Anchor anchor, const std::string& css_class, const std::string& content);
  // Reads from bottom to top, its middle at the place.
  void vertical_text(Place at, const std::string& css_class, const std::string& content);

  const std::string& body() const { return body_; }

 private:
  std::string body_;
};

// A finished figure: elements without the <svg> around them.
struct Drawing {
  double width = 0, height = 0;
  std::string body;
};

// A figure as a file of its own: light background, colours and title inside.
std::string standalone_svg(const Drawing& drawing, const std::string& title);

// A figure inside the page, coloured by the page; `description` is for those who hear it read.
std::string inline_svg(const Drawing& drawing, const std::string& css_class, const std::string& description);

// The width in pixels that text of this size takes, estimated for a wide sans-serif face.
double text_width(const std::string& utf8, double size);

}  // namespace lethe::report
