// What is known of cuDNN's attention without a GPU: what can be asked for, and how much memory it takes.
#include "kernels/attention_library.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/attention_documents.h"

namespace lethe::kernels::cuda {

std::string AttentionProblem::key() const {
  const AttentionShape& s = shape;
  const std::array<int64_t, 17> numbers{
      s.batch, s.tokens,  s.heads,    s.kv_heads, s.head_dim, s.window, s.documents, q_pitch,        k_pitch,
      v_pitch, out_pitch, dout_pitch, dq_pitch,   dk_pitch,   dv_pitch, backward,    s.deterministic};
  std::string text = "names from 1000, bf16 scale ";
  text += std::to_string(scale);
  for (const int64_t n : numbers) text.append(" ").append(std::to_string(n));
  return text;
}

std::string attention_library_refusal(const AttentionProblem& p) {
  const AttentionShape& s = p.shape;
  if (s.batch < 1 || s.tokens < 2) return "sequences of fewer than two tokens";
  if (s.documents < s.batch) return "an unknown number of documents";
  if (s.head_dim > kMostHeadDim || s.head_dim % 16 != 0) {
    return std::string("heads of ")
        .append(std::to_string(s.head_dim))
        .append(", which is no multiple of 16 up to ")
        .append(std::to_string(kMostHeadDim));
  }
  // cuDNN 9.19 sums dq of packed rows in floats as if they lay with q's pitch, whatever dq's own is.
  if (s.packed() && p.backward && p.dq_pitch != p.q_pitch)
    return "packed documents whose dq does not lie as q";
  // It would keep the probabilities' gradients, [documents, H, T, T].
  if (s.packed() && s.deterministic) return "packed documents under the deterministic setting";
  const auto pitches = {p.q_pitch,    p.k_pitch,  p.v_pitch,  p.out_pitch,
                        p.dout_pitch, p.dq_pitch, p.dk_pitch, p.dv_pitch};
  if (std::ranges::any_of(pitches, [](int64_t pitch) { return pitch % 8 != 0; })) {
    return "rows that do not begin on 16 bytes";
  }
  // Of the widest tensor, that of all query heads' gradients of k or v, which has the key heads' offsets.
  const int64_t widest = std::max(pitches) * (s.heads / s.kv_heads);
  if (s.packed() && s.batch * s.tokens * widest > INT32_MAX) return "offsets beyond 32 bits";
  return "";
}

// Measured on an H200 with cuDNN 9.14 to the last megabyte. The forward pass needs next to nothing. The
// backward pass keeps the sums do . o in float and, dense,
//   dq summed in float [B, H, T, D], or where the order is fixed the probabilities' gradients [B, H, T, T];
//   with grouped queries the gradients of k and v of every query head, in bf16.
// Packed, what is kept has the pitch of the gradient it becomes, and all of it is float.
int64_t attention_library_bytes(const AttentionProblem& p) {
  constexpr int64_t kMargin = int64_t{1} << 20;
  const AttentionShape& s = p.shape;
  const int64_t tables = DocumentTables{std::max(s.documents, s.batch)}.bytes();
  if (!p.backward) return tables + kMargin;
  const int64_t tokens = s.batch * s.tokens, width = s.heads * s.head_dim;
  const bool grouped = s.heads != s.kv_heads;
  int64_t bytes = tokens * s.heads * 4;
  if (s.packed()) {
    bytes += tokens * p.dq_pitch * 4;
    if (grouped) bytes += tokens * (p.dk_pitch + p.dv_pitch) * (s.heads / s.kv_heads) * 4;
  } else {
    const int64_t padded = (s.tokens + 127) / 128 * 128;
    bytes += s.deterministic ? s.batch * s.heads * padded * padded * 2 : tokens * width * 4;
    if (grouped) bytes += 2 * s.batch * padded * width * 2;
  }
  return tables + bytes + bytes / 32 + kMargin;
}

}  // namespace lethe::kernels::cuda
