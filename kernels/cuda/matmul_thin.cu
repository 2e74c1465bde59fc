#include "kernels/cuda/matmul_thin.cuh"
#include "kernels/cuda/matmul_thin.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kMostThin = 256, kMostParts = 8;

struct Launch {
  void (*kernel)(ThinProduct) = nullptr;
  int shared = 0, blocks = 0;  // bytes; blocks a multiprocessor
};

template <class Shape>
Launch launch_of(MatmulForm form) {
  constexpr auto launch = [](void (*kernel)(ThinProduct)) {
    return Launch{kernel, Shape::kShared, Shape::kBlocks};
  };
  switch (form) {
    case MatmulForm::nt:
      return launch(thin_product<Shape, Lie::by_depth, Lie::by_depth>);
    case MatmulForm::nn:
      return launch(thin_product<Shape, Lie::by_depth, Lie::by_size>);
    case MatmulForm::tn:
      return launch(thin_product<Shape, Lie::by_size, Lie::by_size>);
  }
  return {};
}

// No kernel where there is no such tile.
Launch launch_of(MatmulForm form, int64_t tile, int64_t thin) {
  if (tile == 128) {
    if (thin <= 64) return launch_of<ThinShape<128, 64, 4, 4, 2>>(form);
    if (thin <= 128) return launch_of<ThinShape<128, 128, 2, 3, 2>>(form);
    if (thin <= 192) return launch_of<ThinShape<128, 192, 2, 5, 1>>(form);
    if (thin <= kMostThin) return launch_of<ThinShape<128, 256, 2, 4, 1>>(form);
  } else if (tile == 256) {
    if (thin <= 64) return launch_of<ThinShape<256, 64, 4, 5, 1>>(form);
    if (thin <= 128) return launch_of<ThinShape<256, 128, 4, 4, 1>>(form);
  }
  return {};
}

// In the form tn either side may be the thin one.
bool is_turned(const MatmulProduct& p) {
  return p.form == MatmulForm::tn && p.m < p.n;
}

struct Cluster {
  cudaLaunchAttribute attribute{};
  cudaLaunchConfig_t config{};

  Cluster(const MatmulProduct& p, const OwnAlgorithm& algorithm, const Launch& launch, cudaStream_t stream) {
    const int64_t wide = is_turned(p) ? p.n : p.m;
    const auto parts = static_cast<unsigned>(algorithm.parts);
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = parts;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    config.gridDim = dim3(static_cast<unsigned>((wide + algorithm.tile - 1) / algorithm.tile) * parts);
    config.blockDim = dim3(kThinThreads);
    config.dynamicSmemBytes = static_cast<size_t>(launch.shared);
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
};

cudaError_t allow_shared(const Launch& launch) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(launch.kernel),
                              cudaFuncAttributeMaxDynamicSharedMemorySize, launch.shared);
}

int attribute_of_device(cudaDeviceAttr which) {
  int device = 0, value = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  return cudaDeviceGetAttribute(&value, which, device) == cudaSuccess ? value : 0;
}

bool is_thin(const MatmulProduct& p) {
  constexpr int64_t kMost = int64_t{1} << 30;
  if (p.types[0] != MatmulType::bf16 || p.types[1] != MatmulType::bf16) return false;
  if (p.types[2] == MatmulType::f64 || std::min({p.m, p.n, p.k}) < 1) return false;
  if (std::max({p.m, p.n, p.k}) > kMost) return false;
  for (size_t i = 0; i < 3; ++i) {
    if (p.alignments[i] < 16 || p.pitches[i] % 8 != 0) return false;
  }
  return (is_turned(p) ? p.m : p.n) <= kMostThin;
}

}  // namespace

bool is_fit(const MatmulProduct& product, const OwnAlgorithm& algorithm) {
  if (!is_thin(product) || algorithm.parts < 1 || algorithm.parts > kMostParts) return false;
  const Launch launch = launch_of(product.form, algorithm.tile, is_turned(product) ? product.m : product.n);
  if (!launch.kernel || attribute_of_device(cudaDevAttrClusterLaunch) == 0) return false;
  int clusters = 0;
  const Cluster cluster(product, algorithm, launch, nullptr);
  if (allow_shared(launch) != cudaSuccess ||
      cudaOccupancyMaxActiveClusters(&clusters, launch.kernel, &cluster.config) != cudaSuccess) {
    cudaGetLastError();  // a shape too large for the device is no error of a later call
    return false;
  }
  return clusters > 0;
}

std::vector<OwnAlgorithm> own_offers(const MatmulProduct& product) {
  std::vector<OwnAlgorithm> made;
  if (!is_thin(product)) return made;
  const int64_t at_once = attribute_of_device(cudaDevAttrMultiProcessorCount);
  const int64_t wide = is_turned(product) ? product.n : product.m, steps = (product.k + kDepth - 1) / kDepth;
  for (const int tile : {128, 256}) {
    for (const int parts : {1, 2, 3, 4, 6, 8}) {
      const OwnAlgorithm algorithm{tile, parts};
      const int64_t blocks = (wide + tile - 1) / tile * parts;
      const bool fills = 2 * blocks >= at_once && (blocks <= 4 * at_once || parts == 1);
      constexpr int kStepsOfAPart = 4;
      if (!fills || steps < kStepsOfAPart * parts || !is_fit(product, algorithm)) continue;
      made.push_back(algorithm);
    }
  }
  return made;
}

cudaError_t queue(const MatmulProduct& product, const OwnAlgorithm& algorithm, float alpha, const void* a,
                  const void* b, void* c, cudaStream_t stream) {
  const bool turned = is_turned(product);
  const ThinOperand left{static_cast<const bf16*>(a), product.m, product.pitches[0]},
      right{static_cast<const bf16*>(b), product.n, product.pitches[1]};
  const ThinProduct p{.wide = turned ? right : left,
                      .thin = turned ? left : right,
                      .depth = product.k,
                      .out = c,
                      .pitch = product.pitches[2],
                      .alpha = alpha,
                      .turned = turned,
                      .is_float = product.types[2] == MatmulType::f32,
                      .write = product.write};
  const Launch launch = launch_of(product.form, algorithm.tile, p.thin.size);
  const Cluster cluster(product, algorithm, launch, stream);
  if (const cudaError_t status = allow_shared(launch); status != cudaSuccess) return status;
  return cudaLaunchKernelEx(&cluster.config, launch.kernel, p);
}

}  // namespace lethe::kernels::cuda
