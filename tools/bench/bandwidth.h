// How fast this machine's memory can be read and written: the limit of what multiplies nothing.
#pragma once

namespace lethe {

// Bytes a second, read and written together, of the fastest of several copies of an array that no common
// cache holds, shared among the threads.
double copy_bandwidth(int threads);

}  // namespace lethe
