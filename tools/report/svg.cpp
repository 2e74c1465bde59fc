#include "tools/report/svg.h"

#include <fmt/format.h>

#include <cmath>

#include "tools/report/numbers.h"
#include "tools/report/style.h"

namespace lethe::report {
namespace {

// A tenth of a pixel is finer than any screen shows.
std::string coordinate(double value) {
  const double rounded = std::round(value * 10) / 10;
  return fmt::format("{:g}", rounded == 0 ? 0.0 : rounded);
}

std::string tipped(const std::string& tag, const std::string& attributes, const std::string& tip) {
  if (tip.empty()) return fmt::format("<{} {}/>\n", tag, attributes);
  return fmt::format("<{0} {1}><title>{2}</title></{0}>\n", tag, attributes, escape(tip));
}

const char* name_of(Anchor anchor) {
  switch (anchor) {
    case Anchor::start:
      return "start";
    case Anchor::middle:
      return "middle";
    case Anchor::end:
      return "end";
  }
  return "start";
}

}  // namespace

void Svg::line(Place from, Place to, const std::string& css_class) {
  body_ += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"{}\"/>\n", coordinate(from.x),
                       coordinate(from.y), coordinate(to.x), coordinate(to.y), css_class);
}

void Svg::polyline(const std::vector<Place>& places, const std::string& css_class) {
  if (places.size() < 2) return;
  std::string points;
  for (const Place& place : places) {
    if (!points.empty()) points += ' ';
    points += coordinate(place.x) + "," + coordinate(place.y);
  }
  body_ += fmt::format("<polyline points=\"{}\" class=\"{}\"/>\n", points, css_class);
}

void Svg::marker(Marker shape, Place at, double radius, const std::string& css_class,
                 const std::string& tip) {
  if (shape == Marker::circle) {
    body_ += tipped("circle",
                    fmt::format("cx=\"{}\" cy=\"{}\" r=\"{}\" class=\"{}\"", coordinate(at.x),
                                coordinate(at.y), coordinate(radius), css_class),
                    tip);
    return;
  }
  const double r = radius;
  std::vector<Place> corners;
  if (shape == Marker::square) {
    const double s = 0.9 * r;
    corners = {{at.x - s, at.y - s}, {at.x + s, at.y - s}, {at.x + s, at.y + s}, {at.x - s, at.y + s}};
  } else if (shape == Marker::triangle) {
    corners = {{at.x, at.y - 1.2 * r}, {at.x + 1.1 * r, at.y + 0.8 * r}, {at.x - 1.1 * r, at.y + 0.8 * r}};
  } else {
    const double d = 1.25 * r;
    corners = {{at.x, at.y - d}, {at.x + d, at.y}, {at.x, at.y + d}, {at.x - d, at.y}};
  }
  std::string points;
  for (const Place& corner : corners) points += coordinate(corner.x) + "," + coordinate(corner.y) + " ";
  points.pop_back();
  body_ += tipped("polygon", fmt::format("points=\"{}\" class=\"{}\"", points, css_class), tip);
}

void Svg::cross(Place at, double radius, const std::string& css_class, const std::string& tip) {
  const std::string path =
      fmt::format("d=\"M{0} {1}L{2} {3}M{0} {3}L{2} {1}\" class=\"{4}\"", coordinate(at.x - radius),
                  coordinate(at.y - radius), coordinate(at.x + radius), coordinate(at.y + radius), css_class);
  body_ += tipped("path", path, tip);
}

void Svg::rectangle(Place corner, double width, double height, const std::string& css_class) {
  body_ +=
      fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{}\"/>\n", coordinate(corner.x),
                  coordinate(corner.y), coordinate(width), coordinate(height), css_class);
}

void Svg::text(Place at, Anchor anchor, const std::string& css_class, const std::string& content) {
  body_ += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n",
                       coordinate(at.x), coordinate(at.y), name_of(anchor), css_class, escape(content));
}

void Svg::vertical_text(Place at, const std::string& css_class, const std::string& content) {
  body_ += fmt::format(
      "<text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"middle\" class=\"{}\">{}</text>\n",
      coordinate(at.x), coordinate(at.y), css_class, escape(content));
}

std::string standalone_svg(const Drawing& drawing, const std::string& title) {
  constexpr double header = 34;
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 {2} {0} {1}\">\n"
      "<title>{3}</title>\n<style>{4}</style>\n"
      "<rect x=\"0\" y=\"{2}\" width=\"{0}\" height=\"{1}\" class=\"paper\"/>\n"
      "<text x=\"14\" y=\"-10\" class=\"title\">{3}</text>\n{5}</svg>\n",
      coordinate(drawing.width), coordinate(drawing.height + header), coordinate(-header), escape(title),
      figure_css(Theme::light), drawing.body);
}

std::string inline_svg(const Drawing& drawing, const std::string& css_class, const std::string& description) {
  return fmt::format("<svg class=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n",
                     css_class, coordinate(drawing.width), coordinate(drawing.height), escape(description),
                     drawing.body);
}

double text_width(const std::string& utf8, double size) {
  int characters = 0;
  for (const char c : utf8) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return 0.55 * size * characters;
}

}  // namespace lethe::report
