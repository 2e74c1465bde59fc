// A shared library that may or may not be on the machine.
#pragma once

#include <initializer_list>
#include <string>

namespace lethe {

class SharedLibrary {
 public:
  // Opens the first of these names that the loader finds.
  explicit SharedLibrary(std::initializer_list<const char*> names);
  ~SharedLibrary();
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

  explicit operator bool() const { return handle_ != nullptr; }
  // The name that was found.
  const std::string& name() const { return name_; }

  // The function of that name as a pointer of type Function, or nullptr.
  template <class Function>
  Function function(const char* symbol) const {
    return reinterpret_cast<Function>(address(symbol));
  }

 private:
  void* address(const char* symbol) const;

  void* handle_ = nullptr;
  std::string name_;
};

}  // namespace lethe
