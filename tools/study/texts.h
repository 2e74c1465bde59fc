// The texts a study reads: the old domain, the new one, and the little of the new one that the base has seen.
#pragma once

#include <string>

#include "tools/options/study_options.h"

namespace lethe {

// JSONL files with the key "text".
struct StudyText {
  std::string path;
  std::string description, licence;
  int64_t documents = 0, bytes = 0;
};

struct StudyTexts {
  StudyText source, mix, target;
};

// Without study.source, English prose from Debian packages; without study.target, the Python standard
// library; both gathered by tools/setup into study.cache_dir/texts. With paths, their documents; a fifth of
// the target's, chosen by content, go to the mix. Throws DataError, FormatError, IoError; RunError if a
// script fails.
StudyTexts gather_texts(const StudyOptions& options);

}  // namespace lethe
