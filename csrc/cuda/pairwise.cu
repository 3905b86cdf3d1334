// Mask IoU for all pairs, and each mask's best match.
#include "cuda/launch.cuh"

namespace esam::cuda {
namespace {

constexpr int tile = 32;  // masks of each side that a block compares
constexpr int step = 32;  // words of them in shared memory at a time
constexpr int side = 16;  // threads along a tile's edge; each takes 2 x 2 pairs

struct Count {
  using Out = std::int32_t;
  __device__ static Out of(std::int64_t inter, std::int64_t, std::int64_t) { return static_cast<Out>(inter); }
};

struct Iou {
  using Out = double;
  __device__ static Out of(std::int64_t inter, std::int64_t a, std::int64_t b) { return iou(inter, a, b); }
};

// out [a.n, b.n]. A block reads only the words where boxes of its tile overlap. For a set
// with itself (`same`) the blocks above the diagonal write both halves of the matrix.
template <class Value>
__global__ void __launch_bounds__(side* side)
    for_pairs(Masks a, Masks b, bool same, std::int64_t columns, typename Value::Out* out) {
  __shared__ std::uint64_t left[tile][step + 1], right[tile][step + 1];  // + 1: rows start in different banks
  __shared__ unsigned long long reach[2];                                // words that any pair needs: first, last
  const std::int64_t i0 = blockIdx.x / columns * tile, j0 = blockIdx.x % columns * tile;
  if (same && j0 < i0) return;
  const int thread = threadIdx.x, tx = thread % side, ty = thread / side;
  if (thread == 0) reach[0] = ~0ull, reach[1] = 0;
  __syncthreads();
  unsigned long long first = ~0ull, last = 0;
  for (int pair = 0; pair < 4; ++pair) {
    const std::int64_t i = i0 + ty + pair / 2 * side, j = j0 + tx + pair % 2 * side;
    if (i >= a.n || j >= b.n) continue;
    const CommonWords m = common_words(a, i, b, j);
    if (m.most == 0) continue;
    first = m.first < first ? m.first : first;
    last = m.last > last ? m.last : last;
  }
  if (first < last) {
    atomicMin(&reach[0], first);
    atomicMax(&reach[1], last);
  }
  __syncthreads();
  int count[4] = {0, 0, 0, 0};
  const std::size_t stride = a.stride(), end = reach[1];
  for (std::size_t start = reach[0]; start < end; start += step) {
    for (int k = thread; k < tile * step; k += side * side) {
      const std::int64_t row = k / step;
      const std::size_t word = start + k % step;
      left[row][k % step] = i0 + row < a.n && word < end ? a.words[(i0 + row) * stride + word] : 0;
      right[row][k % step] = j0 + row < b.n && word < end ? b.words[(j0 + row) * stride + word] : 0;
    }
    __syncthreads();
    if (first < start + step && last > start)
      for (int k = 0; k < step; ++k) {
        const std::uint64_t a0 = left[ty][k], a1 = left[ty + side][k], b0 = right[tx][k], b1 = right[tx + side][k];
        count[0] += __popcll(a0 & b0);
        count[1] += __popcll(a0 & b1);
        count[2] += __popcll(a1 & b0);
        count[3] += __popcll(a1 & b1);
      }
    __syncthreads();
  }
  for (int pair = 0; pair < 4; ++pair) {
    const std::int64_t i = i0 + ty + pair / 2 * side, j = j0 + tx + pair % 2 * side;
    if (i >= a.n || j >= b.n) continue;
    const auto value = Value::of(count[pair], a.area[i], b.area[j]);
    out[i * b.n + j] = value;
    if (same && i0 != j0) out[j * b.n + i] = value;
  }
}

template <class Value>
void pairs(const char* name, const Context& context, const Masks& a, const Masks& b, typename Value::Out* out) {
  const std::int64_t columns = tiles(b.n, tile);
  launch(name, &for_pairs<Value>, tiles(a.n, tile) * columns, side * side, context, a, b,
         a.words == b.words && a.n == b.n, columns, out);
}

constexpr int warps = 8;

// One block per mask of `a`: its warps take masks of `b` in turn, 32 at a time. Each lane bounds one IoU by areas and
// boxes; where the bound exceeds the best so far, the whole warp counts the intersection.
__global__ void __launch_bounds__(32 * warps) best_match(Masks a, Masks b, double* best, std::int64_t* index) {
  __shared__ double found[warps];
  __shared__ std::int64_t where[warps];
  const std::int64_t i = blockIdx.x;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  double most = 0.0;
  std::int64_t at = -1;
  for (std::int64_t base = 32 * warp; base < b.n; base += 32 * warps) {
    const std::int64_t mine = base + lane;
    const CommonWords m = mine < b.n ? common_words(a, i, b, mine) : CommonWords{0, 0, 0};
    const double bound = m.most > 0 ? iou(m.most, a.area[i], b.area[mine]) : 0.0;
    for (unsigned open = __ballot_sync(full, bound > most); open; open &= open - 1) {
      const int one = __ffs(static_cast<int>(open)) - 1;
      if (!(__shfl_sync(full, bound, one) > most)) continue;
      const std::int64_t j = base + one;
      const CommonWords common = common_words(a, i, b, j);
      const double value =
          iou(warp_intersection(a.mask(i), b.mask(j), common.first, common.last), a.area[i], b.area[j]);
      if (value > most) most = value, at = j;
    }
  }
  if (lane == 0) found[warp] = most, where[warp] = at;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int k = 1; k < warps; ++k)
    if (found[k] > most || (found[k] == most && where[k] >= 0 && where[k] < at)) most = found[k], at = where[k];
  best[i] = most;
  index[i] = at >= 0 ? at : b.n > 0 ? 0 : -1;
}

}  // namespace

void intersections(const Context& context, const Masks& a, const Masks& b, std::int32_t* out) {
  pairs<Count>("intersections", context, a, b, out);
}

void mask_iou(const Context& context, const Masks& a, const Masks& b, double* out) {
  pairs<Iou>("mask_iou", context, a, b, out);
}

void max_iou(const Context& context, const Masks& a, const Masks& b, double* best, std::int64_t* index) {
  launch("max_iou", &best_match, a.n, 32 * warps, context, a, b, best, index);
}

ESAM_KERNEL(intersections);
ESAM_KERNEL(mask_iou);
ESAM_KERNEL(max_iou);

}  // namespace esam::cuda
