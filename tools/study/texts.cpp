#include "tools/study/texts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "data/corpus.h"
#include "data/shards.h"
#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "tools/process.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

// What a script of tools/setup says it gathered. Its answer is kept beside the texts, so that the next study
// finds both as they were.
nlohmann::json run_script(const std::string& name, const fs::path& folder, const std::string& out) {
  const fs::path answer = folder / (name + ".json");
  if (fs::exists(answer)) return nlohmann::json::parse(std::ifstream(answer));
  const std::string script = setup_folder() + "/" + name;
  const ProcessResult result = run_process({"python3", script, "--out", out});
  if (result.status != 0) throw RunError(fmt::format("{} ended with status {}", script, result.status));
  replace_file(answer.string(), result.output);
  return nlohmann::json::parse(result.output);
}

// "A, B" of one key over a script's list of sources.
std::string join_key(const nlohmann::json& sources, const char* key) {
  std::vector<std::string> found;
  std::set<std::string> seen;
  for (const auto& s : sources) {
    if (s.contains(key) && seen.insert(s.at(key)).second) found.push_back(s.at(key));
  }
  return fmt::format("{}", fmt::join(found, "; "));
}

StudyText default_prose(const fs::path& folder) {
  const std::string path = (folder / "prose.jsonl").string();
  const nlohmann::json made = run_script("prose_corpus", folder, path);
  return {path, join_key(made.at("sources"), "title"), join_key(made.at("sources"), "licence"),
          made.at("documents"), made.at("bytes")};
}

void default_code(const fs::path& folder, StudyTexts& texts) {
  const nlohmann::json made = run_script("code_corpus", folder, folder.string());
  const std::string description =
      fmt::format("sources of the standard library of Python {}", made.at("python").get<std::string>());
  const auto text = [&](const char* part) {
    const nlohmann::json& counts = made.at(part);
    return StudyText{counts.at("file"), description, made.at("licence"), counts.at("documents"),
                     counts.at("bytes")};
  };
  texts.mix = text("code_mix");
  texts.target = text("code_target");
}

bool same_bytes(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (!fs::exists(a) || fs::file_size(a, error) != fs::file_size(b, error)) return false;
  std::ifstream x(a, std::ios::binary), y(b, std::ios::binary);
  return std::equal(std::istreambuf_iterator<char>(x), {}, std::istreambuf_iterator<char>(y));
}

// A text of the user's as JSONL. A file that would stay as it is is left alone: what was made from it still
// fits.
class JsonlFile {
 public:
  JsonlFile(const fs::path& path, const std::string& description)
      : path_(path),
        partial_(path.string() + ".partial"),
        file_(partial_),
        text_{path.string(), description, "your own text"} {}
  void add(const std::string& document) {
    file_ << nlohmann::json{{"text", document}}.dump() << "\n";
    ++text_.documents;
    text_.bytes += static_cast<int64_t>(document.size());
  }
  StudyText finish() {
    file_.close();
    if (!file_) throw IoError(partial_.string(), "cannot be written");
    if (same_bytes(path_, partial_)) {
      fs::remove(partial_);
    } else {
      fs::rename(partial_, path_);
    }
    return text_;
  }

 private:
  fs::path path_, partial_;
  std::ofstream file_;
  StudyText text_;
};

}  // namespace

StudyTexts gather_texts(const StudyOptions& options) {
  const fs::path folder = fs::path(options.cache_dir) / "texts";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(folder.string(), error.message());
  StudyTexts texts;
  if (options.source.empty()) {
    texts.source = default_prose(folder);
  } else {
    JsonlFile source(folder / "source.jsonl", fmt::format("{}", fmt::join(options.source, ", ")));
    Corpus({.paths = options.source}).visit([&](Document&& d) { source.add(d.text); });
    texts.source = source.finish();
  }
  if (options.target.empty()) {
    default_code(folder, texts);
  } else {
    const std::string description = fmt::format("{}", fmt::join(options.target, ", "));
    JsonlFile mix(folder / "mix.jsonl", description), target(folder / "target.jsonl", description);
    const ShardOptions fifth{.held_out = 0.2, .seed = 1};
    Corpus({.paths = options.target}).visit([&](Document&& d) {
      (is_held_out(d.text, fifth) ? mix : target).add(d.text);
    });
    texts.mix = mix.finish();
    texts.target = target.finish();
    if (texts.mix.documents == 0 || texts.target.documents == 0) {
      throw DataError(description + ": has too few documents to set a fifth of them apart for the base");
    }
  }
  return texts;
}

}  // namespace lethe
