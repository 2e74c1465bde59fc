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
            if (b.pitch == b.width) {
              backend->download(out, data + first * row, count * row);
              return;
            }
            for (int64_t r = 0; r < count; ++r)
              backend->download(out + r * row, data + (first + r) * b.pitch * size, row);
          }};
}

}  // namespace lethe
