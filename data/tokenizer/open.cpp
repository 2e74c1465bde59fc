// Which tokenizer a path means.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "data/tokenizer/json.h"
#include "data/tokenizer/pipeline.h"
#include "data/tokenizer/sentencepiece.h"
#include "engine/error.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Tokenizer> open_model(const fs::path& path, const TokenizerRoles& roles) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path.string() + ": no such tokenizer model, or it cannot be read");
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return make_sentencepiece(std::move(bytes), path.string(), roles);
}

std::unique_ptr<Tokenizer> open_json(const fs::path& path, const TokenizerRoles& roles) {
  return make_pipeline(read_json(path.string()), path.string(), roles);
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const std::string& path) {
  if (!fs::is_directory(path)) {
    return path.ends_with(".json") ? open_json(path, {}) : open_model(path, {});
  }
  const fs::path folder(path);
  const TokenizerRoles roles = read_roles(path);
  if (fs::exists(folder / "tokenizer.json")) return open_json(folder / "tokenizer.json", roles);
  if (fs::exists(folder / "tokenizer.model")) return open_model(folder / "tokenizer.model", roles);
  throw DataError(path + ": neither a tokenizer.json nor a tokenizer.model in this folder");
}

std::unique_ptr<Tokenizer> load_sentencepiece(const std::string& path) {
  if (!fs::is_directory(path)) return open_model(path, {});
  return open_model(fs::path(path) / "tokenizer.model", read_roles(path));
}

}  // namespace lethe
