// Lines and markers between two axes: what all figures of the report are drawn with.
#pragma once

#include <string>
#include <vector>

#include "tools/report/labels.h"
#include "tools/report/svg.h"
#include "tools/report/ticks.h"

namespace lethe::report {

enum class Scale { linear, logarithmic };

struct Axis {
  std::string title;  // with its unit
  Scale scale = Scale::linear;
  Range range;
  std::vector<Tick> ticks;
};

// An axis over the finite values, a little wider than they are, with at most max_ticks marks.
Axis axis_over(const std::string& title, Scale scale, const std::vector<double>& values, int max_ticks);

// An axis of token counts from 0, in the unit (thousands, millions, billions) that keeps its labels short.
Axis token_axis(const std::string& what, double most, int max_ticks);

// How one series looks, the same in every figure.
struct Look {
  std::string label;  // "LoRA r16"
  std::string color;  // class c0 ... c6 or cb
  Marker marker = Marker::circle;
  bool dashed = false;
};

struct Series {
  Look look;
  std::vector<Place>
      values;  // in data units; y that is not finite or lies outside the axis is not on the line
  std::vector<std::string> tips;  // one a value, or none at all
  bool markers = true;
  bool label_at_end = true;
};

// A horizontal reference line with words above its left end.
struct Guide {
  double y = 0;
  std::string words;
  std::string css_class = "line cb thin dashed";
  bool below = false;  // the words stand below the line
};

// A rectangle of the drawing between two axes; places data in it.
class Frame {
 public:
  Frame(Box box, Axis x, Axis y) : box_(box), x_(std::move(x)), y_(std::move(y)) {}

  double x(double value) const { return box_.left + fraction(x_, value) * (box_.right - box_.left); }
  double y(double value) const { return box_.bottom - fraction(y_, value) * (box_.bottom - box_.top); }
  Place place(Place value) const { return {x(value.x), y(value.y)}; }
  bool holds(Place value) const;
  const Box& box() const { return box_; }

  // Grid lines, tick labels and titles; in small multiples inner panels go without some of them.
  void draw(Svg& svg, bool x_labels = true, bool y_labels = true) const;
  // The line, its markers, and a cross at the upper edge where it leaves the scale or is no number.
  void draw(Svg& svg, const Series& series) const;
  void draw(Svg& svg, const Guide& guide) const;
  // Each line's label right of its last value, spread apart and tied to it.
  void draw_end_labels(Svg& svg, const std::vector<Series>& series) const;

 private:
  static double fraction(const Axis& axis, double value);

  Box box_;
  Axis x_, y_;
};

// Coloured marks and labels in rows from `at`, no wider than `width`; returns the height used.
double draw_legend(Svg& svg, const std::vector<Look>& looks, Place at, double width);

// The size a figure is drawn for.
struct Canvas {
  double width = 660, height = 400;
  bool narrow() const { return width < 500; }
};

// A whole figure of one panel, with end labels, room for the widest of them, and guides.
Drawing line_figure(Canvas canvas, const Axis& x, const Axis& y, const std::vector<Series>& series,
                    const std::vector<Guide>& guides);

}  // namespace lethe::report
