#include "data/corpus.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "data/json_records.h"
#include "data/parquet.h"
#include "data/text_file.h"
#include "engine/error.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;
using Visitor = std::function<void(Document&&)>;

bool only_white_space(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

SourceFile describe(const fs::path& path) {
  const auto modified = fs::last_write_time(path).time_since_epoch();
  return {path.string(), static_cast<int64_t>(fs::file_size(path)),
          std::chrono::duration_cast<std::chrono::nanoseconds>(modified).count()};
}

// The files of a folder that count, sorted by path.
std::vector<SourceFile> walk(const std::string& folder, const std::vector<std::string>& extensions) {
  std::vector<SourceFile> found;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator();
       ++entry) {
    const std::string name = entry->path().filename().string();
    const bool folder_here = entry->is_directory() && !entry->is_symlink();
    if (name.starts_with('.')) {
      if (folder_here) entry.disable_recursion_pending();
      continue;
    }
    const std::string plain = without_compression(name);
    const bool wanted =
        extensions.empty() || std::any_of(extensions.begin(), extensions.end(),
                                          [&](const std::string& end) { return plain.ends_with(end); });
    if (entry->is_regular_file() && wanted) found.push_back(describe(entry->path()));
  }
  std::sort(found.begin(), found.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return found;
}

void visit_jsonl(const SourceFile& source, const std::string& key, const Visitor& visitor) {
  for (JsonRecords records(source.path); records.next();) {
    const nlohmann::json& record = records.record();
    const auto fail = [&](const std::string& what) {
      throw FormatError(source.path, at_line(records.line()), what);
    };
    if (!record.is_object()) fail(fmt::format("a JSON object expected, found {}", record.type_name()));
    const auto value = records.record().find(key);
    if (value == record.end()) fail(fmt::format("no key \"{}\"", key));
    if (!value->is_string()) {
      fail(fmt::format("\"{}\" must be a string, found {}", key, value->type_name()));
    }
    auto& text = value->get_ref<std::string&>();
    if (!only_white_space(text)) visitor({std::move(text), &source, records.line()});
  }
}

// A document ends at a blank line once it has split_bytes (0: never); blank lines stay with what precedes
// them.
void visit_plain(const SourceFile& source, int64_t split_bytes, const Visitor& visitor) {
  TextFile file(source.path);
  std::string text;
  int64_t first_line = 1;
  bool after_blank = false;
  const auto emit = [&] {
    if (!only_white_space(text)) visitor({std::move(text), &source, first_line});
    text.clear();
  };
  for (std::string line; file.append_line(line); line.clear()) {
    const bool blank = only_white_space(line);
    if (split_bytes > 0 && after_blank && !blank && static_cast<int64_t>(text.size()) >= split_bytes) {
      emit();
      first_line = file.line();
    }
    text += line;
    after_blank = blank;
  }
  emit();
}

}  // namespace

bool is_parquet(const std::string& path) {
  return path.ends_with(".parquet");
}

Corpus::Corpus(CorpusOptions options) : options_(std::move(options)) {
  if (options_.paths.empty()) throw ConfigError("data.paths", "no file or folder given");
  if (options_.json_key.empty()) throw ConfigError("data.json_key", "must not be empty");
  if (options_.split_bytes < 0) {
    throw ConfigError("data.split_bytes", fmt::format("must be 0 or more, is {}", options_.split_bytes));
  }
  for (const std::string& path : options_.paths) {
    try {
      if (fs::is_directory(path)) {
        const auto found = walk(path, options_.extensions);
        if (found.empty()) {
          throw DataError(fmt::format("{}: no file{}{} in this folder", path,
                                      options_.extensions.empty() ? "" : " that ends in ",
                                      fmt::join(options_.extensions, " or ")));
        }
        files_.insert(files_.end(), found.begin(), found.end());
      } else if (fs::exists(path)) {
        files_.push_back(describe(path));
      } else {
        throw DataError(path + ": no such file or folder");
      }
    } catch (const fs::filesystem_error& error) {
      throw IoError(path, fmt::format("cannot be listed: {}", error.what()));
    }
  }
}

std::string Corpus::description() const {
  return fmt::format("{}", fmt::join(options_.paths, ", "));
}

CorpusCounts Corpus::visit(const Visitor& visitor) const {
  CorpusCounts counts;
  const Visitor counting = [&](Document&& document) {
    ++counts.documents;
    counts.bytes += static_cast<int64_t>(document.text.size());
    visitor(std::move(document));
  };
  for (const SourceFile& file : files_) {
    if (is_parquet(file.path)) {
      visit_parquet(file.path, options_.json_key, [&](std::string&& text, int64_t row) {
        if (!only_white_space(text)) counting({std::move(text), &file, row});
      });
    } else if (is_jsonl(file.path)) {
      visit_jsonl(file, options_.json_key, counting);
    } else {
      visit_plain(file, options_.split_bytes, counting);
    }
  }
  if (counts.documents == 0) {
    throw DataError(fmt::format("{}: empty corpus, no document with text in {} file{}", description(),
                                files_.size(), files_.size() == 1 ? "" : "s"));
  }
  return counts;
}

}  // namespace lethe
