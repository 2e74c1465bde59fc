#include "engine/files/session_tensor.h"

namespace lethe {

TensorToWrite session_tensor(const Session& session, int32_t index, const std::string& name_in_file) {
  const PersistentInfo& p = session.state()[index];
  const Buffer b = session.buffer(index);
  Backend* backend = &session.backend();
  return {name_in_file, stored_type_of(p.dtype), p.shape,
          [b, backend](int64_t first, int64_t count, std::byte* out) {
            const int64_t size = size_of(b.dtype), row = b.width * size;
            const auto* data = static_cast<const std::byte*>(b.data);
            backend->download_rows(out, data + first * b.pitch * size, b.pitch * size, row, count);
          }};
}

}  // namespace lethe
