// Mean of a plane over each mask: the density of a mask (Eq. 3).
#include "cuda/launch.cuh"

namespace esam::cuda {
namespace {

constexpr int warps = 4;

// One warp per mask: its lanes gather a word's values in pixel order, and the first lane adds them one by one, so that
// the sum is the CPU's to the last bit.
__global__ void __launch_bounds__(32 * warps) mean(Masks masks, const double* plane, double* out) {
  __shared__ double gathered[warps][64];
  const std::int64_t i = blockIdx.x * static_cast<std::int64_t>(warps) + threadIdx.x / 32;
  if (i >= masks.n) return;
  const int lane = threadIdx.x % 32;
  double* values = gathered[threadIdx.x / 32];
  const CommonWords own = own_words(masks, i);
  double sum = 0.0;
  for (std::size_t word = own.first; word < own.last; ++word) {
    const std::uint64_t bits = masks.mask(i)[word];
    for (int bit = lane; bit < 64; bit += 32)
      if (bits >> bit & 1) values[__popcll(bits & ((std::uint64_t{1} << bit) - 1))] = plane[word * 64 + bit];
    __syncwarp();
    if (lane == 0)
      for (int k = 0; k < __popcll(bits); ++k) sum += values[k];
    __syncwarp();
  }
  if (lane == 0) out[i] = masks.area[i] == 0 ? 0.0 : sum / static_cast<double>(masks.area[i]);
}

}  // namespace

void mask_mean(const Context& context, const Masks& masks, const double* plane, double* out) {
  launch("mask_mean", &mean, tiles(masks.n, warps), 32 * warps, context, masks, plane, out);
}

ESAM_KERNEL(mask_mean);

}  // namespace esam::cuda
