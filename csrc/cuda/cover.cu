// Greedy cover (Sec. 3.4): again and again the mask that covers most of what is still uncovered.
#include "cuda/launch.cuh"

namespace esam::cuda {
namespace {

constexpr int threads = 1024, warps = threads / 32;

// One block. Gains never grow, so a warp counts a mask again only while its last known gain could still win.
__global__ void __launch_bounds__(threads)
    cover(Masks masks, const std::int64_t* order, const std::uint64_t* given, double min_gain, std::uint64_t* covered,
          std::int64_t* bound, std::int64_t* picks, std::int64_t* gains, std::int64_t* picked) {
  __shared__ std::int64_t most[warps], where[warps];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (std::int64_t k = threadIdx.x; k < masks.n; k += threads) bound[k] = masks.area[order[k]];
  for (std::size_t word = threadIdx.x; word < masks.stride(); word += threads) covered[word] = given[word];
  __syncthreads();
  for (std::int64_t count = 0;; ++count) {
    std::int64_t best_gain = 0, best = -1;  // a position in the order
    for (std::int64_t k = warp; k < masks.n; k += warps) {
      const bool beaten = bound[k] <= best_gain;
      __syncwarp();  // everyone has read the bound
      if (beaten) continue;
      const CommonWords own = own_words(masks, order[k]);
      const std::uint64_t* mask = masks.mask(order[k]);
      int gain = 0;
      for (std::size_t word = own.first + lane; word < own.last; word += 32)
        gain += __popcll(mask[word] & ~covered[word]);
      gain = warp_sum(gain);
      if (lane == 0) bound[k] = gain;
      if (gain > best_gain) best_gain = gain, best = k;
    }
    if (lane == 0) most[warp] = best_gain, where[warp] = best;
    __syncthreads();
    for (int k = 0; k < warps; ++k)
      if (most[k] > best_gain || (most[k] == best_gain && where[k] >= 0 && where[k] < best))
        best_gain = most[k], best = where[k];
    if (best < 0 || static_cast<double>(best_gain) < min_gain) {
      if (threadIdx.x == 0) *picked = count;
      return;
    }
    const std::int64_t pick = order[best];
    const CommonWords own = own_words(masks, pick);
    for (std::size_t word = own.first + threadIdx.x; word < own.last; word += threads)
      covered[word] |= masks.mask(pick)[word];
    if (threadIdx.x == 0) picks[count] = pick, gains[count] = best_gain, bound[best] = 0;
    __syncthreads();
  }
}

}  // namespace

std::int64_t greedy_cover(const Context& context, const Masks& masks, const std::int64_t* order,
                          const std::uint64_t* given, double min_gain, std::int64_t* picks, std::int64_t* gains) {
  if (masks.n == 0) return 0;
  std::int64_t* picked = context.workspace<std::int64_t>(1);
  launch("greedy_cover", &cover, 1, threads, context, masks, order, given, min_gain,
         context.workspace<std::uint64_t>(masks.stride()), context.workspace<std::int64_t>(masks.n), picks, gains,
         picked);
  std::int64_t count = 0;
  check(cudaMemcpyAsync(&count, picked, sizeof count, cudaMemcpyDeviceToHost, context.stream),
        "greedy_cover: cudaMemcpyAsync");
  check(cudaStreamSynchronize(context.stream), "greedy_cover: cudaStreamSynchronize");
  return count;
}

ESAM_KERNEL(greedy_cover);

}  // namespace esam::cuda
