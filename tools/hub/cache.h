// A repository's folder in the cache, laid out as huggingface_hub does, so that both use one copy:
//   models--OWNER--NAME/refs/REVISION              the commit that a branch or tag stood for
//   models--OWNER--NAME/blobs/CHECKSUM             the bytes
//   models--OWNER--NAME/snapshots/COMMIT/FILE      a relative link to a blob
//   models--OWNER--NAME/.no_exist/COMMIT/FILE      empty: the commit has no such file
//   .locks/models--OWNER--NAME/CHECKSUM.lock       held while a blob is written
#pragma once

#include <string>

#include "tools/hub/name.h"

namespace lethe {

class HubCache {
 public:
  HubCache(const std::string& cache, const HubName& name);

  // The commit that the name's revision stands for here; empty if none is known.
  std::string commit() const;
  // The folder of a commit. It need not exist.
  std::string snapshot(const std::string& commit) const;
  // Whether the file is there, whole; whether the commit is known to have none of that name.
  bool has(const std::string& commit, const std::string& file) const;
  bool knows_absent(const std::string& commit, const std::string& file) const;

  std::string blob(const std::string& checksum) const;
  std::string lock(const std::string& checksum) const;

  // Each replaces what was there in one step and makes the folders it needs. Throw IoError.
  void link(const std::string& commit, const std::string& file, const std::string& checksum) const;
  void mark_absent(const std::string& commit, const std::string& file) const;
  void remember_commit(const std::string& commit) const;

 private:
  std::string folder_, locks_, revision_;
};

}  // namespace lethe
