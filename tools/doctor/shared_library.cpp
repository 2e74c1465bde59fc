#include "tools/doctor/shared_library.h"

#include <dlfcn.h>

namespace lethe {

SharedLibrary::SharedLibrary(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    handle_ = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (handle_) {
      name_ = name;
      return;
    }
  }
}

SharedLibrary::~SharedLibrary() {
  if (handle_) {
    dlclose(handle_);
  }
}

void* SharedLibrary::address(const char* symbol) const {
  return handle_ ? dlsym(handle_, symbol) : nullptr;
}

}  // namespace lethe
