// y[i] = value.
#pragma once

#include "kernels/rows.h"

namespace lethe::kernels::cpu {

template <class T>
void fill(Rows<T> y, compute_t<T> value);

// The same with a value that lies beside the data: y[i] = *value, or y[i] += *value.
template <class T, class S>
void broadcast(const S* value, Rows<T> y, Write write);

}  // namespace lethe::kernels::cpu
