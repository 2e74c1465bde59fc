// Which system calls a sandboxed program may not make.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace lethe {

// A seccomp program: everything is allowed that is not refused with EPERM. Refused: new processes (threads
// are allowed), new namespaces, mounts, sockets, tracing, keys, and what else reaches beyond the process;
// clone3 with ENOSYS, upon which the C library takes clone. Throws SandboxError.
std::vector<sock_filter> syscall_filter();

}  // namespace lethe
