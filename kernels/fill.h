// y[i] = value.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

template <class T>
void fill(Rows<T> y, compute_t<T> value);

// The same with a value that lies beside the data: y[i] = *value, or y[i] += *value.
template <class T, class S>
void broadcast(const S* value, Rows<T> y, Write write);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void fill(Rows<T> y, compute_t<T> value, Stream stream);
template <class T, class S>
void broadcast(const S* value, Rows<T> y, Write write, Stream stream);

}  // namespace lethe::kernels::cuda
