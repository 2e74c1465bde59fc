// Attention in bf16 by cuDNN, for what it can do; kernels/attention.h has the formula and our own kernels,
// which are what runs wherever this library refuses.
//
// Packed rows (AttentionShape::packed) can be described to it as sequences of unequal length: document_start
// is turned into tables of `documents` entries on the device at each run, so one plan serves any packing.
// Entries behind the last document have length 0. The log-sum-exp of packed rows then lies as [B*T, H], not
// as [B*H, T]: of one node and its gradient either both run here or neither does. dq of packed rows must lie
// with the pitch of q.
#pragma once

#include <memory>
#include <string>

#include "kernels/attention.h"

namespace lethe::kernels::cuda {

// What a plan is built for. Pitches: elements from one token to the next.
struct AttentionProblem {
  AttentionShape shape;
  double scale = 1;
  bool backward = false;
  int64_t q_pitch = 0, k_pitch = 0, v_pitch = 0, out_pitch = 0;
  int64_t dout_pitch = 0, dq_pitch = 0, dk_pitch = 0, dv_pitch = 0;  // backward only

  // Every number of it, as text.
  std::string key() const;
};

// As kernels::cuda::attention and attention_backward take them; those of the gradients only backward.
struct AttentionBuffers {
  const bf16 *q = nullptr, *k = nullptr, *v = nullptr, *dout = nullptr;
  const int32_t* document_start = nullptr;
  bf16* out = nullptr;
  float* lse = nullptr;
  bf16 *dq = nullptr, *dk = nullptr, *dv = nullptr;
  void* workspace = nullptr;
};

// Why the library cannot be asked at all, whatever the machine; empty if it can. What depends on the GPU and
// on cuDNN is found by AttentionLibrary::plan.
std::string attention_library_refusal(const AttentionProblem& problem);

// Workspace that a plan may use, tables included: an upper bound that needs no GPU.
int64_t attention_library_bytes(const AttentionProblem& problem);

// cuDNN and the plans built for the problems seen so far. Loads cuDNN when it is first asked for a plan. Not
// for use by several threads at once.
class AttentionLibrary {
 public:
  struct Plan;
  struct Parts;
  // plan_folder: where built plans are kept between processes, and read from; empty: nowhere. A file there
  // that is damaged or was made for something else is passed over.
  explicit AttentionLibrary(std::string plan_folder = "");
  ~AttentionLibrary();
  AttentionLibrary(const AttentionLibrary&) = delete;
  AttentionLibrary& operator=(const AttentionLibrary&) = delete;

  // cuDNN's, as 91002 for 9.10.2, which this loads; 0 where it is not to be had.
  static int64_t version();

  // Builds a plan unless one was asked for before; null where there is none, and `refusal` says why. Work of
  // the host, up to a second: to be done before a program is timed or captured.
  const Plan* plan(const AttentionProblem& problem, int64_t workspace_bytes, std::string* refusal = nullptr);

  // Whether nobody asked this of the refusal before: so that each reason is told once.
  bool is_news(const std::string& refusal);

  // Queues the problem; may be captured. Throws std::runtime_error if cuDNN will not.
  void run(const Plan& plan, const AttentionBuffers& buffers, Stream stream);

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace lethe::kernels::cuda
