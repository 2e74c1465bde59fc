// A model's name at the hub: OWNER/NAME, or a GGUF file OWNER/NAME/FILE.gguf; after either may stand
// @REVISION.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lethe {

struct HubName {
  std::string repository;         // "HuggingFaceTB/SmolLM2-135M"
  std::string revision = "main";  // a branch, a tag, "refs/pr/1" or a commit
  std::string file;               // empty: the model that the repository is

  bool operator==(const HubName&) const = default;
};

// Nothing if the text is no such name: huggingface_hub's rule for repositories (validate_repo_id), and an
// owner must be given.
std::optional<HubName> parse_hub_name(std::string_view text);

// Whether a revision is a commit: 40 hexadecimal digits.
bool is_commit(std::string_view revision);

}  // namespace lethe
