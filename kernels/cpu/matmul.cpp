#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/parallel.h"

namespace lethe::kernels::cpu {
namespace {

// Elements of the summed dimension that are widened at a time.
constexpr int64_t kPanel = 512;

struct Tiling {
  int64_t m, n;           // of one tile
  int64_t rows, columns;  // of the grid of tiles
  int64_t count() const { return rows * columns; }
};

int64_t pieces(int64_t size, int64_t piece) {
  return (size + piece - 1) / piece;
}

// Halves the longer side until the cores have enough to share. OpenBLAS packs both operands of every tile
// anew, so a tile must be large for its rate to be near the whole problem's: 8 tiles if each has some 512 x
// 512 elements, 4 if 192 x 320, 2 if they hold enough work to be worth a second core's wake-up at all.
Tiling tiling(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kLargest = 2 << 20, kLarge = 512 * 512, kMedium = 192 * 320, kWorthSharing = 2 << 20;
  Tiling t{m, n, 1, 1};
  const auto area = [&] { return t.m * t.n; };
  while (area() > kLargest || (t.count() < 8 && area() > kLarge) || (t.count() < 4 && area() > kMedium) ||
         (t.count() < 2 && std::max(t.m, t.n) > 32 && area() * k > kWorthSharing)) {
    int64_t& longer = t.m >= t.n ? t.m : t.n;
    longer = pieces(pieces(longer, 2), 16) * 16;  // whole vectors
    t.rows = pieces(m, t.m);
    t.columns = pieces(n, t.n);
  }
  return t;
}

// Where one thread keeps what it widened: a panel of each narrow operand and the tile of a narrow output.
struct Layout {
  int64_t a, b, c;  // elements
  int64_t total() const { return a + b + c; }
};

template <class A, class B, class C>
Layout layout(const Tiling& t, int64_t k) {
  const int64_t panel = std::min(k, kPanel);
  return {is_narrow<A> ? t.m * panel : 0, is_narrow<B> ? t.n * panel : 0, is_narrow<C> ? t.m * t.n : 0};
}

struct Tile {
  int64_t row, column, m, n;
};

template <class A, class B, class C>
void compute_tile(MatmulForm form, double alpha, Rows<const A> a, Rows<const B> b, Rows<C> c, int64_t k,
                  Write write, const Tile& t, const Layout& scratch_layout, compute_t<C>* scratch) {
  using F = compute_t<C>;
  constexpr bool any_narrow = is_narrow<A> || is_narrow<B>;
  F* const a_panel = scratch;
  F* const b_panel = a_panel + scratch_layout.a;
  F* const c_tile = b_panel + scratch_layout.b;
  F* target = c_tile;
  int64_t target_pitch = t.n;
  double beta = 0;
  if constexpr (!is_narrow<C>) {
    target = c.row(t.row) + t.column;
    target_pitch = c.pitch;
    beta = write == Write::accumulate ? 1 : 0;
  }
  const int64_t step = any_narrow ? kPanel : k;
  for (int64_t k0 = 0; k0 < k; k0 += step) {
    const int64_t depth = std::min(step, k - k0);
    const bool ta = form == MatmulForm::tn, tb = form == MatmulForm::nt;
    const auto pa =
        ta ? widened(a, k0, t.row, depth, t.m, a_panel) : widened(a, t.row, k0, t.m, depth, a_panel);
    const auto pb =
        tb ? widened(b, t.column, k0, t.n, depth, b_panel) : widened(b, k0, t.column, depth, t.n, b_panel);
    gemm(ta ? Transpose::yes : Transpose::no, tb ? Transpose::yes : Transpose::no, t.m, t.n, depth, alpha,
         pa.data, pa.pitch, pb.data, pb.pitch, k0 == 0 ? beta : 1, target, target_pitch);
  }
  if constexpr (is_narrow<C>) {
    for (int64_t r = 0; r < t.m; ++r) {
      C* out = c.row(t.row + r) + t.column;
      for (int64_t j = 0; j < t.n; ++j) put(out[j], c_tile[r * t.n + j], write);
    }
  }
}

}  // namespace

template <class A, class B, class C>
void matmul(MatmulForm form, double alpha, Rows<const A> a, Rows<const B> b, Rows<C> c, Write write,
            void* workspace) {
  const int64_t m = c.rows, n = c.width, k = form == MatmulForm::tn ? a.rows : a.width;
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t r = 0; r < m && write == Write::overwrite; ++r) std::fill_n(c.row(r), n, C{});
    return;
  }
  const Tiling tiles = tiling(m, n, k);
  const Layout scratch_layout = layout<A, B, C>(tiles, k);
  auto* const scratch = static_cast<compute_t<C>*>(workspace);
  parallel_pieces(tiles.count(), 1, [&](int64_t i, int64_t, int worker) {
    const int64_t row = i / tiles.columns * tiles.m, column = i % tiles.columns * tiles.n;
    const Tile tile{row, column, std::min(tiles.m, m - row), std::min(tiles.n, n - column)};
    compute_tile(form, alpha, a, b, c, k, write, tile, scratch_layout,
                 scratch + worker * scratch_layout.total());
  });
}

template <class A, class B, class C>
int64_t matmul_workspace_bytes(int64_t m, int64_t n, int64_t k, int threads) {
  if (m == 0 || n == 0 || k == 0) return 0;
  const Tiling tiles = tiling(m, n, k);
  return (tiles.count() > 1 ? threads : 1) * layout<A, B, C>(tiles, k).total() *
         static_cast<int64_t>(sizeof(compute_t<C>));
}

#define LETHE_MATMUL(A, B, C)                                                                             \
  template void matmul<A, B, C>(MatmulForm, double, Rows<const A>, Rows<const B>, Rows<C>, Write, void*); \
  template int64_t matmul_workspace_bytes<A, B, C>(int64_t, int64_t, int64_t, int);
LETHE_MATMUL(double, double, double)
LETHE_MATMUL(float, float, float)
LETHE_MATMUL(float, float, bf16)
LETHE_MATMUL(float, bf16, float)
LETHE_MATMUL(float, bf16, bf16)
LETHE_MATMUL(bf16, float, float)
LETHE_MATMUL(bf16, float, bf16)
LETHE_MATMUL(bf16, bf16, float)
LETHE_MATMUL(bf16, bf16, bf16)
#undef LETHE_MATMUL

}  // namespace lethe::kernels::cpu
