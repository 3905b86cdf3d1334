// All claims of masks on later ones: bit j of row i tells whether the i-th mask of an order claims the j-th, j > i.
#pragma once
#include "cuda/launch.cuh"

namespace esam::cuda {

constexpr int claim_warps = 8;

// bits [n, 2 * tiles(n, 64)], in pieces of 32, one warp per piece. Each lane bounds one IoU by areas and boxes; where
// the bound would claim, the whole warp counts the intersection. claims(p, iou): monotone in iou.
template <class Claims>
__global__ void __launch_bounds__(32 * claim_warps)
    claim_bits(Masks masks, const std::int64_t* order, Claims claims, std::int64_t pieces, std::uint32_t* bits) {
  const std::int64_t task = blockIdx.x * static_cast<std::int64_t>(claim_warps) + threadIdx.x / 32;
  const std::int64_t i = task / pieces, base = task % pieces * 32;
  if (i >= masks.n) return;
  const int lane = threadIdx.x % 32;
  const std::int64_t p = order[i], j = base + lane;
  unsigned claimed = 0;
  if (base + 31 > i && base < masks.n) {
    bool open = false;
    if (j > i && j < masks.n) {
      const std::int64_t q = order[j];
      open = claims(p, iou(common_words(masks, p, masks, q).most, masks.area[p], masks.area[q]));
    }
    for (unsigned left = __ballot_sync(full, open); left; left &= left - 1) {
      const int one = __ffs(static_cast<int>(left)) - 1;
      const std::int64_t q = order[base + one];
      const CommonWords m = common_words(masks, p, masks, q);
      const int common = warp_intersection(masks.mask(p), masks.mask(q), m.first, m.last);
      if (claims(p, iou(common, masks.area[p], masks.area[q]))) claimed |= 1u << one;
    }
  }
  if (lane == 0) bits[i * pieces + base / 32] = claimed;
}

// The matrix of claims: [n, tiles(n, 64)] words of 64 bits.
template <class Claims>
const std::uint64_t* claim_matrix(const char* name, const Context& context, const Masks& masks,
                                  const std::int64_t* order, const Claims& claims) {
  const std::int64_t words = tiles(masks.n, 64);
  std::uint64_t* bits = context.workspace<std::uint64_t>(masks.n * words);
  launch(name, &claim_bits<Claims>, tiles(masks.n * words * 2, claim_warps), 32 * claim_warps, context, masks, order,
         claims, 2 * words, reinterpret_cast<std::uint32_t*>(bits));
  return bits;
}

// Claims with more than a threshold, one for each leader.
struct Exceeds {
  const double* thresholds;
  __device__ bool operator()(std::int64_t p, double value) const { return value > thresholds[p]; }
};

struct AtLeast {
  double threshold;
  __device__ bool operator()(std::int64_t, double value) const { return value >= threshold; }
};

struct Overlaps {
  __device__ bool operator()(std::int64_t, double value) const { return value > 0.0; }
};

}  // namespace esam::cuda
