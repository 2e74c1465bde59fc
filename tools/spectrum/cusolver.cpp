#include <cuda_runtime_api.h>
#include <cusolverDn.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tools/spectrum/solver.h"

namespace lethe {
namespace {

void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) throw DeviceError(call, cudaGetErrorString(status));
}

void check(cusolverStatus_t status, const char* call) {
  if (status != CUSOLVER_STATUS_SUCCESS)
    throw DeviceError(call, fmt::format("cuSOLVER returned status {}", static_cast<int>(status)));
}

// The functions of cuSOLVER that are called, opened and not linked, so that the binary starts without it.
struct Library {
  decltype(&cusolverDnCreate) create = nullptr;
  decltype(&cusolverDnDestroy) destroy = nullptr;
  decltype(&cusolverDnCreateParams) create_params = nullptr;
  decltype(&cusolverDnDestroyParams) destroy_params = nullptr;
  decltype(&cusolverDnXgesvdp_bufferSize) polar_size = nullptr;
  decltype(&cusolverDnXgesvdp) polar = nullptr;
  decltype(&cusolverDnXgesvd_bufferSize) iteration_size = nullptr;
  decltype(&cusolverDnXgesvd) iteration = nullptr;
  std::string missing;

  Library() {
    const std::string name = fmt::format("libcusolver.so.{}", CUSOLVER_VER_MAJOR);
    void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      const char* const why = dlerror();
      missing = why ? why : name + " cannot be opened";
      return;
    }
    const auto find = [&](auto& function, const char* symbol) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, symbol));
      if (!function) missing = fmt::format("{} has no {}", name, symbol);
    };
    find(create, "cusolverDnCreate");
    find(destroy, "cusolverDnDestroy");
    find(create_params, "cusolverDnCreateParams");
    find(destroy_params, "cusolverDnDestroyParams");
    find(polar_size, "cusolverDnXgesvdp_bufferSize");
    find(polar, "cusolverDnXgesvdp");
    find(iteration_size, "cusolverDnXgesvd_bufferSize");
    find(iteration, "cusolverDnXgesvd");
  }
};

// Never closed, as what it keeps may outlive any owner.
const Library& library() {
  static const Library opened;
  return opened;
}

class DeviceMemory {
 public:
  explicit DeviceMemory(size_t bytes) {
    check(cudaMalloc(&data_, std::max<size_t>(bytes, 16)), "cudaMalloc");
  }
  ~DeviceMemory() { cudaFree(data_); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

// A = U S V^T of a column-major A [m, n], m >= n; U [m, n] and V [n, n] column-major, or empty.
struct Tall {
  std::vector<double> values, u, v;
};

class CuSolver : public SvdSolver {
 public:
  CuSolver() {
    check(library().create(&handle_), "cusolverDnCreate");
    check(library().create_params(&parameters_), "cusolverDnCreateParams");
  }
  ~CuSolver() override {
    library().destroy_params(parameters_);
    library().destroy(handle_);
  }

  std::vector<double> values(int64_t rows, int64_t columns, const double* a) override {
    return decompose(rows, columns, a, false).values;
  }
  Svd decomposition(int64_t rows, int64_t columns, const double* a) override {
    return decompose(rows, columns, a, true);
  }
  std::string name() const override { return "cuSOLVER"; }

 private:
  Svd decompose(int64_t rows, int64_t columns, const double* a, bool vectors);
  Tall tall(int64_t m, int64_t n, const double* a, bool vectors);
  // True unless the matrix had to be perturbed too much.
  bool polar(int64_t m, int64_t n, const double* a, bool vectors, Tall& into);
  void iteration(int64_t m, int64_t n, const double* a, bool vectors, Tall& into);

  cusolverDnHandle_t handle_ = nullptr;
  cusolverDnParams_t parameters_ = nullptr;
};

std::vector<double> download(const DeviceMemory& memory, int64_t count) {
  std::vector<double> values(static_cast<size_t>(count));
  check(cudaMemcpy(values.data(), memory.data(), values.size() * sizeof(double), cudaMemcpyDeviceToHost),
        "cudaMemcpy");
  return values;
}

void upload(const DeviceMemory& memory, const double* values, int64_t count) {
  check(
      cudaMemcpy(memory.data(), values, static_cast<size_t>(count) * sizeof(double), cudaMemcpyHostToDevice),
      "cudaMemcpy");
}

void check_info(const DeviceMemory& info, const char* routine) {
  int found = 0;
  check(cudaMemcpy(&found, info.data(), sizeof found, cudaMemcpyDeviceToHost), "cudaMemcpy");
  if (found != 0) throw DeviceError(routine, fmt::format("info = {}", found));
}

bool CuSolver::polar(int64_t m, int64_t n, const double* a, bool vectors, Tall& into) {
  const auto bytes = [](int64_t count) { return static_cast<size_t>(count) * sizeof(double); };
  const DeviceMemory matrix(bytes(m * n)), s(bytes(n)), u(vectors ? bytes(m * n) : 0),
      v(vectors ? bytes(n * n) : 0), info(sizeof(int));
  upload(matrix, a, m * n);
  const cusolverEigMode_t mode = vectors ? CUSOLVER_EIG_MODE_VECTOR : CUSOLVER_EIG_MODE_NOVECTOR;
  size_t device = 0, host = 0;
  check(library().polar_size(handle_, parameters_, mode, 1, m, n, CUDA_R_64F, matrix.data(), m, CUDA_R_64F,
                             s.data(), CUDA_R_64F, u.data(), m, CUDA_R_64F, v.data(), n, CUDA_R_64F, &device,
                             &host),
        "cusolverDnXgesvdp_bufferSize");
  const DeviceMemory work(device);
  std::vector<char> host_work(host);
  double perturbed = 0;
  check(library().polar(handle_, parameters_, mode, 1, m, n, CUDA_R_64F, matrix.data(), m, CUDA_R_64F,
                        s.data(), CUDA_R_64F, u.data(), m, CUDA_R_64F, v.data(), n, CUDA_R_64F, work.data(),
                        device, host_work.data(), host, static_cast<int*>(info.data()), &perturbed),
        "cusolverDnXgesvdp");
  check(cudaDeviceSynchronize(), "cusolverDnXgesvdp");
  check_info(info, "cusolverDnXgesvdp");
  into.values = download(s, n);
  if (vectors) into.u = download(u, m * n), into.v = download(v, n * n);
  return perturbed <= 1e-12 * into.values.front();
}

void CuSolver::iteration(int64_t m, int64_t n, const double* a, bool vectors, Tall& into) {
  const auto bytes = [](int64_t count) { return static_cast<size_t>(count) * sizeof(double); };
  const DeviceMemory matrix(bytes(m * n)), s(bytes(n)), u(vectors ? bytes(m * n) : 0),
      vt(vectors ? bytes(n * n) : 0), info(sizeof(int));
  upload(matrix, a, m * n);
  const signed char job = vectors ? 'S' : 'N';
  size_t device = 0, host = 0;
  check(library().iteration_size(handle_, parameters_, job, job, m, n, CUDA_R_64F, matrix.data(), m,
                                 CUDA_R_64F, s.data(), CUDA_R_64F, u.data(), m, CUDA_R_64F, vt.data(), n,
                                 CUDA_R_64F, &device, &host),
        "cusolverDnXgesvd_bufferSize");
  const DeviceMemory work(device);
  std::vector<char> host_work(host);
  check(library().iteration(handle_, parameters_, job, job, m, n, CUDA_R_64F, matrix.data(), m, CUDA_R_64F,
                            s.data(), CUDA_R_64F, u.data(), m, CUDA_R_64F, vt.data(), n, CUDA_R_64F,
                            work.data(), device, host_work.data(), host, static_cast<int*>(info.data())),
        "cusolverDnXgesvd");
  check(cudaDeviceSynchronize(), "cusolverDnXgesvd");
  check_info(info, "cusolverDnXgesvd");
  into.values = download(s, n);
  if (!vectors) return;
  into.u = download(u, m * n);
  const std::vector<double> transposed = download(vt, n * n);
  into.v.resize(transposed.size());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      into.v[static_cast<size_t>(j + i * n)] = transposed[static_cast<size_t>(i + j * n)];
}

Tall CuSolver::tall(int64_t m, int64_t n, const double* a, bool vectors) {
  Tall found;
  if (!polar(m, n, a, vectors, found)) iteration(m, n, a, vectors, found);
  for (double& value : found.values) value = std::max(value, 0.0);  // the polar way leaves -1e-17 for a zero
  return found;
}

// [across, down] from [down, across], one row after another.
std::vector<double> transposed(int64_t down, int64_t across, const double* a) {
  std::vector<double> turned(static_cast<size_t>(down * across));
  for (int64_t i = 0; i < down; ++i)
    for (int64_t j = 0; j < across; ++j) turned[static_cast<size_t>(j * down + i)] = a[i * across + j];
  return turned;
}

// A row-major A is a column-major A^T, which is tall if A is wide: then A^T = U S V^T and A = V S U^T.
Svd CuSolver::decompose(int64_t rows, int64_t columns, const double* a, bool vectors) {
  check_matrix(rows, columns, a);
  if (rows == 0 || columns == 0) return {};
  const bool wide = columns >= rows;
  const int64_t k = std::min(rows, columns);
  Tall found = wide ? tall(columns, rows, a, vectors)
                    : tall(rows, columns, transposed(rows, columns, a).data(), vectors);
  Svd svd{.values = std::move(found.values)};
  if (!vectors) return svd;
  // Column-major [rows, k] is row-major [k, rows]; a column-major [columns, k] is the rows that are wanted.
  svd.left = transposed(k, rows, (wide ? found.v : found.u).data());
  svd.right_transposed = std::move(wide ? found.u : found.v);
  return svd;
}

}  // namespace

std::unique_ptr<SvdSolver> cusolver_solver(std::string& missing) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    missing = "no GPU that CUDA can use";
    return nullptr;
  }
  missing = library().missing;
  return missing.empty() ? std::make_unique<CuSolver>() : nullptr;
}

}  // namespace lethe
