// The algorithms that tuning chose for matrix products, kept on disk: one small text file for each kind of
// GPU, driver and library.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/matmul_product.h"

namespace lethe {

// What an algorithm's encoding and its time depend on.
struct MatmulMachine {
  std::string gpu;  // "NVIDIA H200"
  int64_t multiprocessors = 0, driver = 0, library = 0;
};

class MatmulCache {
 public:
  // folder empty: nothing is ever found, and nothing can be kept.
  MatmulCache(std::string folder, const MatmulMachine& machine);

  // Empty if there is no file. A file that is not whole, or of another machine, is passed over with a warning
  // on the log.
  kernels::MatmulChoices load() const;

  // Throws IoError if nothing can be kept there: to be asked before work that would be lost.
  void require_writable() const;

  // Adds to what the file holds, in place of choices for the same products; the file is replaced in one step.
  // Throws IoError.
  void merge(const kernels::MatmulChoices& choices) const;

  const std::string& file() const { return file_; }

 private:
  std::string folder_, file_, header_;
};

}  // namespace lethe
