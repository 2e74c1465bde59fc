// y = x W^T + s (x A^T) B^T with the low-rank part inside the large products (Hu et al., "LoRA", 2021).
//
// A storage holds W with room for copies of the factors in the dtype of the activations, R = sum of the
// parts' ranks:
//             K columns   R columns
//   N rows       W           B          B: a block of rows and columns for each part, zero elsewhere
//   R rows       A         unused
// Then [x | u] [W | B]^T is one product, u = s x A^T standing beside x, and so is the way back,
// dx = [dy | du] [W ; A] with du = s dy B beside dy. What remains are thin products: dA = du^T x, dB = dy^T
// u.
#pragma once

#include <string>
#include <vector>

#include "engine/tape.h"

namespace lethe::ops {

// The adapter of some rows of W: y's columns [first_output, first_output + out).
struct LoraPart {
  Var b;  // [out, rank], the trained factor
  int64_t first_output = 0;
};

struct LoraWeight {
  Var storage;                  // [N + R, K + R]
  int64_t outputs = 0;          // N
  Var a;                        // [R, K]: the trained factors of all parts, one below the other
  std::vector<LoraPart> parts;  // in the order of a's rows
};

// How far apart rows must lie that hold `width` columns and `extra` ones beside them: on 128 bytes in bf16.
int64_t pitch_with_room(int64_t width, int64_t extra);

// What must be copied into the storage before a program multiplies with it: the trained factors and their
// places.
struct LoraCopies {
  std::vector<Var> from;
  std::vector<Output> into;
};
void append_copies(Tape& tape, const LoraWeight& weight, LoraCopies& copies);
// Records the copies. Once a program, before its first lora_linear.
void refresh(Tape& tape, const LoraCopies& copies, const std::string& name = "adapters");

// x: [rows, K], a tensor of its own with room for R columns beside it (pitch_with_room), which is
// overwritten. Returns [rows, N], its rows `pitch` elements apart (0: N); the gradient is one product if they
// leave room for R columns, else two. Throws ShapeError when the shapes do not fit or x has no room.
Var lora_linear(Tape& tape, Var x, const LoraWeight& weight, double scale, const std::string& name = "linear",
                int64_t pitch = 0);

}  // namespace lethe::ops
