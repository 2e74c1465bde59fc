#include "data/parquet.h"
#include "engine/error.h"

namespace lethe {

void visit_parquet(const std::string& path, const std::string& /*column*/,
                   const std::function<void(std::string&&, int64_t)>& /*visitor*/) {
  throw ConfigError("data",
                    path + " is a Parquet file, and this build was made without Apache Arrow's library");
}

}  // namespace lethe
