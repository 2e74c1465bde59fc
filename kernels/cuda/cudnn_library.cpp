// The functions of cuDNN that cudnn-frontend calls, each passed on to the library that open_cudnn() found.
// They stand in for linking with it.
#include "kernels/cuda/cudnn_library.h"

#include <cudnn.h>
#include <dlfcn.h>

#include <array>

namespace lethe::kernels::cuda {
namespace {

enum Function : size_t {
  kGetVersion,
  kGetErrorString,
  kGetLastErrorString,
  kCreate,
  kDestroy,
  kSetStream,
  kGetStream,
  kBackendCreateDescriptor,
  kBackendDestroyDescriptor,
  kBackendFinalize,
  kBackendSetAttribute,
  kBackendGetAttribute,
  kBackendExecute,
  kFunctions
};
constexpr std::array<const char*, kFunctions> kNames{"cudnnGetVersion",
                                                     "cudnnGetErrorString",
                                                     "cudnnGetLastErrorString",
                                                     "cudnnCreate",
                                                     "cudnnDestroy",
                                                     "cudnnSetStream",
                                                     "cudnnGetStream",
                                                     "cudnnBackendCreateDescriptor",
                                                     "cudnnBackendDestroyDescriptor",
                                                     "cudnnBackendFinalize",
                                                     "cudnnBackendSetAttribute",
                                                     "cudnnBackendGetAttribute",
                                                     "cudnnBackendExecute"};

struct Library {
  std::array<void*, kFunctions> addresses{};
  std::string missing;

  Library() {
    void* const handle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      const char* const why = dlerror();
      missing = why ? why : "libcudnn.so.9 cannot be opened";
      return;
    }
    std::array<void*, kFunctions> found{};
    for (size_t i = 0; i < kFunctions; ++i) {
      found[i] = dlsym(handle, kNames[i]);
      if (!found[i]) missing = std::string("libcudnn.so.9 has no ") + kNames[i];
    }
    if (missing.empty()) addresses = found;
  }
};

// Never closed: cuDNN's own threads and handlers may outlive any owner.
const Library& library() {
  static const Library opened;
  return opened;
}

template <class Signature, class... Arguments>
cudnnStatus_t pass_on(Function which, Signature*, Arguments... arguments) {
  void* const address = library().addresses[which];
  if (!address) return CUDNN_STATUS_NOT_INITIALIZED;
  return reinterpret_cast<Signature*>(address)(arguments...);
}

}  // namespace

std::string open_cudnn() {
  return library().missing;
}

}  // namespace lethe::kernels::cuda

using namespace lethe::kernels::cuda;  // NOLINT: what follows has to lie in no namespace

size_t cudnnGetVersion() {
  void* const address = library().addresses[kGetVersion];
  return address ? reinterpret_cast<decltype(&cudnnGetVersion)>(address)() : 0;
}
const char* cudnnGetErrorString(cudnnStatus_t status) {
  void* const address = library().addresses[kGetErrorString];
  return address ? reinterpret_cast<decltype(&cudnnGetErrorString)>(address)(status) : "cuDNN is not there";
}
void cudnnGetLastErrorString(char* message, size_t size) {
  if (size > 0) message[0] = '\0';
  void* const address = library().addresses[kGetLastErrorString];
  if (address) reinterpret_cast<decltype(&cudnnGetLastErrorString)>(address)(message, size);
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return pass_on(kCreate, cudnnCreate, handle);
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  return pass_on(kDestroy, cudnnDestroy, handle);
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  return pass_on(kSetStream, cudnnSetStream, handle, stream);
}
cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  return pass_on(kGetStream, cudnnGetStream, handle, stream);
}
cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
  return pass_on(kBackendCreateDescriptor, cudnnBackendCreateDescriptor, type, descriptor);
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  return pass_on(kBackendDestroyDescriptor, cudnnBackendDestroyDescriptor, descriptor);
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  return pass_on(kBackendFinalize, cudnnBackendFinalize, descriptor);
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  return pass_on(kBackendSetAttribute, cudnnBackendSetAttribute, descriptor, name, type, count, values);
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t room, int64_t* count, void* values) {
  return pass_on(kBackendGetAttribute, cudnnBackendGetAttribute, descriptor, name, type, room, count, values);
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variant_pack) {
  return pass_on(kBackendExecute, cudnnBackendExecute, handle, plan, variant_pack);
}
