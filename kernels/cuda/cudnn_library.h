// cuDNN, opened when it is first needed: a program that never asks for it runs on a machine without.
#pragma once

#include <string>

namespace lethe::kernels::cuda {

// Opens libcudnn.so.9 unless it is open; empty if it is there with all that is used of it, else what is
// missing. Before this said so, cuDNN's functions return CUDNN_STATUS_NOT_INITIALIZED.
std::string open_cudnn();

}  // namespace lethe::kernels::cuda
