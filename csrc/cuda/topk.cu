// Centroid top-k similarity and the mask similarity that follows from it (Eq. 7).
#include "cuda/launch.cuh"

namespace esam::cuda {
namespace {

constexpr int side = 16;             // threads along a tile's edge; each takes 2 x 2 products
constexpr int tile = 2 * side;       // vectors of each side that a block multiplies
constexpr int step = 32;             // channels of them in shared memory at a time
constexpr std::int64_t rows = 1024;  // vectors whose products with all are held at a time
constexpr int warps = 8;

// products [count, n] of the vectors [first, first + count) with all n.
__global__ void __launch_bounds__(side* side)
    dots(const std::int16_t* features, std::int64_t n, std::int64_t c, std::int64_t first, std::int64_t count,
         std::int64_t columns, std::int32_t* products) {
  __shared__ std::int32_t left[tile][step + 1], right[tile][step + 1];
  const std::int64_t i0 = blockIdx.x / columns * tile, j0 = blockIdx.x % columns * tile;
  const int thread = threadIdx.x, tx = thread % side, ty = thread / side;
  std::int32_t sum[4] = {0, 0, 0, 0};
  for (std::int64_t start = 0; start < c; start += step) {
    for (int k = thread; k < tile * step; k += side * side) {
      const std::int64_t row = k / step, channel = start + k % step;
      left[row][k % step] = i0 + row < count && channel < c ? features[(first + i0 + row) * c + channel] : 0;
      right[row][k % step] = j0 + row < n && channel < c ? features[(j0 + row) * c + channel] : 0;
    }
    __syncthreads();
    for (int k = 0; k < step; ++k) {
      const std::int32_t a0 = left[ty][k], a1 = left[ty + side][k], b0 = right[tx][k], b1 = right[tx + side][k];
      sum[0] += a0 * b0, sum[1] += a0 * b1, sum[2] += a1 * b0, sum[3] += a1 * b1;
    }
    __syncthreads();
  }
  for (int pair = 0; pair < 4; ++pair) {
    const std::int64_t i = i0 + ty + pair / 2 * side, j = j0 + tx + pair % 2 * side;
    if (i < count && j < n) products[i * n + j] = sum[pair];
  }
}

// A product and its index as one number that is larger for a larger product, then for a lower index; -1 << 63: none.
__device__ long long key(std::int32_t product, std::int64_t index) {
  return static_cast<long long>(product) * (1ll << 32) + (0x7fffffffll - index);
}

// One warp per vector: k times the best key below the one before.
__global__ void __launch_bounds__(32 * warps)
    select(const std::int32_t* products, std::int64_t n, std::int64_t first, std::int64_t count, std::int64_t k,
           std::int32_t* index, std::int32_t* value) {
  constexpr long long none = -0x7fffffffffffffffll - 1;
  const std::int64_t row = blockIdx.x * static_cast<std::int64_t>(warps) + threadIdx.x / 32;
  if (row >= count) return;
  const int lane = threadIdx.x % 32;
  long long before = 0x7fffffffffffffffll;
  for (std::int64_t slot = 0; slot < k; ++slot) {
    long long best = none;
    if (before != none)
      for (std::int64_t j = lane; j < n; j += 32) {
        const long long candidate = key(products[row * n + j], j);
        if (j != first + row && candidate < before && candidate > best) best = candidate;
      }
    for (int half = 16; half > 0; half /= 2) {
      const long long other = __shfl_xor_sync(full, best, half);
      best = other > best ? other : best;
    }
    before = best;
    if (lane != 0) continue;
    const std::int64_t out = (first + row) * k + slot;
    index[out] = best == none ? -1 : static_cast<std::int32_t>(0x7fffffffll - (best & 0xffffffffll));
    value[out] = best == none ? 0 : static_cast<std::int32_t>(best >> 32);
  }
}

__global__ void clear(std::int32_t* values, std::int64_t n) {
  const std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
  if (i < n) values[i] = 0;
}

// count [masks, masks]: neighbours of i's centres that lie in j; centres [masks].
__global__ void tally(const std::int32_t* neighbours, std::int64_t n, std::int64_t k, const std::int32_t* membership,
                      std::int64_t masks, std::int32_t* count, std::int32_t* centres) {
  const std::int64_t task = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
  if (task >= n * k) return;
  const std::int32_t i = membership[task / k], other = neighbours[task];
  if (i < 0) return;
  if (task % k == 0) atomicAdd(centres + i, 1);
  if (other >= 0 && membership[other] >= 0) atomicAdd(count + i * masks + membership[other], 1);
}

__global__ void shares(const std::int32_t* count, const std::int32_t* centres, std::int64_t masks, std::int64_t k,
                       double* out) {
  const std::int64_t pair = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
  if (pair >= masks * masks) return;
  const std::int64_t i = pair / masks, j = pair % masks;
  const double there = share(count[pair], centres[i] * k), back = share(count[j * masks + i], centres[j] * k);
  out[pair] = i == j ? 0.0 : there > back ? there : back;
}

}  // namespace

void top_k_similarity(const Context& context, Array<const std::int16_t, 2> vectors, std::int64_t k, std::int32_t* index,
                      std::int32_t* value) {
  const std::int64_t n = vectors.shape[0], c = vectors.shape[1];
  std::int32_t* products = context.workspace<std::int32_t>(min64(rows, n) * n);
  const std::int64_t columns = tiles(n, tile);
  for (std::int64_t first = 0; first < n; first += rows) {
    const std::int64_t count = min64(rows, n - first);
    launch("top_k_similarity: dots", &dots, tiles(count, tile) * columns, side * side, context, vectors.data, n, c,
           first, count, columns, products);
    launch("top_k_similarity: select", &select, tiles(count, warps), 32 * warps, context, products, n, first, count, k,
           index, value);
  }
}

void mask_similarity(const Context& context, Array<const std::int32_t, 2> neighbours, const std::int32_t* membership,
                     std::int64_t masks, double* out) {
  const std::int64_t n = neighbours.shape[0], k = neighbours.shape[1];
  constexpr int threads = 256;
  std::int32_t* count = context.workspace<std::int32_t>(masks * masks + masks);
  std::int32_t* centres = count + masks * masks;
  launch("mask_similarity: clear", &clear, tiles(masks * masks + masks, threads), threads, context, count,
         masks * masks + masks);
  launch("mask_similarity: tally", &tally, tiles(n * k, threads), threads, context, neighbours.data, n, k, membership,
         masks, count, centres);
  launch("mask_similarity: shares", &shares, tiles(masks * masks, threads), threads, context, count, centres, masks, k,
         out);
}

ESAM_KERNEL(top_k_similarity);
ESAM_KERNEL(mask_similarity);

}  // namespace esam::cuda
