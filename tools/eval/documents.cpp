#include "tools/eval/documents.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <filesystem>

#include "data/json_records.h"
#include "engine/error.h"

namespace lethe::eval {

Documents Documents::read(const std::string& file) {
  Documents made;
  made.file_ = file;
  JsonRecords records(file);
  while (records.next()) {
    if (!records.record().is_object())
      throw FormatError(file, fmt::format("line {}", records.line()), "is no object");
    made.records_.push_back(std::move(records.record()));
    made.lines_.push_back(records.line());
  }
  if (made.records_.empty()) throw DataError(file + ": holds no document");
  return made;
}

Documents Documents::find(const std::vector<std::string>& folders, const std::vector<std::string>& names,
                          const std::string& what_for) {
  for (const std::string& folder : folders) {
    for (const std::string& name : names) {
      for (const char* ending : {"", ".gz", ".xz", ".zst"}) {
        const auto path = std::filesystem::path(folder) / (name + ending);
        if (std::filesystem::exists(path)) return read(path.string());
      }
    }
  }
  throw DataError(fmt::format("{} needs {}, which is not in {}", what_for, fmt::join(names, " or "),
                              fmt::join(folders, ", ")));
}

JsonPlace Documents::at(size_t i) const {
  return {records_[i], file_, fmt::format("line {}", lines_[i])};
}

void Documents::limit(size_t count) {
  if (count >= records_.size()) return;
  records_.resize(count);
  lines_.resize(count);
}

int64_t integer_of(const JsonPlace& place, int64_t least, int64_t most) {
  if (!place.is_string()) return place.integer(least, most);
  const std::string& text = place.string();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    place.refuse(fmt::format("must be a whole number from {} to {}, is \"{}\"", least, most, text));
  return value;
}

std::vector<std::string> texts_of(const JsonPlace& place) {
  std::vector<std::string> texts;
  for (const JsonPlace& element : place.elements()) texts.push_back(element.string());
  return texts;
}

}  // namespace lethe::eval
