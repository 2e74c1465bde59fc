// Numbers as a reader of English text expects them: thousands separators, a true minus sign, a dash for none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lethe::report {

// "1,234,567"; "−12".
std::string grouped(int64_t value);

// "1,234.50"; "–" for NaN, "∞" for infinity. A value that rounds to zero has no sign.
std::string fixed(double value, int decimals);

// The same, always with its sign: "+0.120", "−0.300".
std::string signed_fixed(double value, int decimals);

// Three significant digits and a unit: "950", "12.3k", "4.56M", "1.20B".
std::string compact(double value);

// "0.0003" as "3e-4", "0.00025" as "2.5e-4".
std::string scientific(double value);

// "45 s", "7 min 20 s", "2 h 5 min".
std::string duration(double seconds);

// "3.4 MB", in powers of 1000.
std::string bytes_text(int64_t bytes);

// The five characters that HTML and XML reserve.
std::string escape(std::string_view text);

// "a", "a and b", "a, b and c".
template <class Strings>
std::string joined(const Strings& words) {
  std::string text;
  size_t index = 0;
  for (const std::string& word : words) {
    if (index > 0) text += index + 1 == words.size() ? " and " : ", ";
    text += word;
    ++index;
  }
  return text;
}

}  // namespace lethe::report
