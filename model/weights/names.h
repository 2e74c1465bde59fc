// The tensors of a Llama-family model: their Hugging Face names and shapes, and how they lie merged in State.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "model/config.h"
#include "model/weights/model_files.h"

namespace lethe {

// A linear map's weight is [rows = outputs, columns = inputs]; a vector has one row.
struct ModelTensor {
  std::string hf_name;
  int64_t rows = 0, columns = 0;
  bool is_vector = false;

  Shape shape() const { return is_vector ? Shape{columns} : Shape{rows, columns}; }
};

// A linear map that LoRA can target, as Hugging Face names it ("model.layers.3.self_attn.q_proj").
struct LinearModule {
  std::string path;
  std::string name;  // "q_proj"
  int64_t out = 0, in = 0;
};

// Rows of a merged matrix under a name of their own.
struct MergedPart {
  std::string name;
  int64_t first_row = 0, rows = 0;
};

// A matrix of State that holds several Hugging Face tensors on top of each other, so that one multiplication
// computes them all: "….self_attn.qkv_proj.weight", "….mlp.gate_up_proj.weight".
struct MergedTensor {
  std::string name;
  int64_t rows = 0, columns = 0;
  std::vector<MergedPart> parts;  // q, k, v; or gate, up
};

// All tensors of a file, in the order of Hugging Face's state dict. A tied head has none of its own.
std::vector<ModelTensor> model_tensors(const LlamaConfig& config);

// The seven linear maps of each layer: q, k, v, o, gate, up, down.
std::vector<LinearModule> linear_modules(const LlamaConfig& config);

// The two merged matrices of each layer.
std::vector<MergedTensor> merged_tensors(const LlamaConfig& config);

// Throws FormatError, naming file, tensor and both shapes, if a tensor is missing, has another shape or is
// not stored as a float, or if there is one that the model does not have. Two extras are let pass: the
// rotary_emb.inv_freq of old exports, and a tied model's lm_head.weight that equals its embedding bit for
// bit.
void check_model_files(const ModelFiles& files, const LlamaConfig& config);

}  // namespace lethe
