#include "model/weights/side_files.h"

#include <filesystem>

#include "engine/error.h"

namespace lethe {

const std::vector<std::string>& side_file_names() {
  static const std::vector<std::string> names = {"tokenizer.json",
                                                 "tokenizer.model",
                                                 "tokenizer_config.json",
                                                 "special_tokens_map.json",
                                                 "added_tokens.json",
                                                 "vocab.json",
                                                 "merges.txt",
                                                 "generation_config.json",
                                                 "chat_template.jinja",
                                                 "chat_template.json"};
  return names;
}

void copy_side_files(const std::string& from, const std::string& to) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::equivalent(from, to, error)) return;
  std::vector<std::string> names = side_file_names();
  names.push_back("additional_chat_templates");
  for (const std::string& name : names) {
    const fs::path source = fs::path(from) / name;
    if (!fs::exists(source, error)) continue;
    fs::copy(source, fs::path(to) / name, fs::copy_options::overwrite_existing | fs::copy_options::recursive,
             error);
    if (error) throw IoError((fs::path(to) / name).string(), error.message());
  }
}

}  // namespace lethe
