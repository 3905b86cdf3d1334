// Greedy NMS (Eqs. 1 and 4) and gallery clustering: all claims as bits at once, then the greedy scan by one block.
#include "cuda/claims.cuh"

namespace esam::cuda {
namespace {

constexpr int scan_threads = 256;

struct Keep {
  bool* keep;
  __device__ void leads(std::int64_t q) const { keep[q] = true; }
  __device__ void follows(std::int64_t, std::int64_t q) const { keep[q] = false; }
};

struct Represent {
  std::int64_t* representative;
  __device__ void leads(std::int64_t q) const { representative[q] = q; }
  __device__ void follows(std::int64_t p, std::int64_t q) const { representative[q] = p; }
};

// Visits the masks in order, 64 at a time: thread 0 finds the leaders among these, then each thread marks what the
// leaders claim in one word of later masks after the other. claimed [words]: the masks claimed so far.
template <class Result>
__global__ void __launch_bounds__(scan_threads)
    scan(const std::uint64_t* bits, const std::int64_t* order, std::int64_t n, std::int64_t words,
         std::uint64_t* claimed, Result result) {
  __shared__ std::uint64_t leaders;
  __shared__ std::uint64_t own[64];
  for (std::int64_t word = threadIdx.x; word < words; word += scan_threads) claimed[word] = 0;
  for (std::int64_t block = 0; block < words; ++block) {
    const int size = static_cast<int>(min64(64, n - block * 64));
    if (static_cast<int>(threadIdx.x) < size) own[threadIdx.x] = bits[(block * 64 + threadIdx.x) * words + block];
    __syncthreads();
    if (threadIdx.x == 0) {
      std::uint64_t gone = claimed[block], leading = 0;
      for (int k = 0; k < size; ++k) {
        if (gone >> k & 1) continue;
        leading |= std::uint64_t{1} << k;
        const std::int64_t p = order[block * 64 + k];
        result.leads(p);
        for (std::uint64_t fresh = own[k] & ~gone; fresh; fresh &= fresh - 1)
          result.follows(p, order[block * 64 + __ffsll(static_cast<long long>(fresh)) - 1]);
        gone |= own[k];
      }
      leaders = leading;
    }
    __syncthreads();
    for (std::int64_t word = block + 1 + threadIdx.x; word < words; word += scan_threads) {
      std::uint64_t gone = claimed[word];
      for (std::uint64_t left = leaders; left; left &= left - 1) {
        const std::int64_t row = block * 64 + __ffsll(static_cast<long long>(left)) - 1;
        const std::uint64_t fresh = bits[row * words + word] & ~gone;
        for (std::uint64_t one = fresh; one; one &= one - 1)
          result.follows(order[row], order[word * 64 + __ffsll(static_cast<long long>(one)) - 1]);
        gone |= fresh;
      }
      claimed[word] = gone;
    }
  }
}

template <class Claims, class Result>
void greedy(const char* name, const Context& context, const Masks& masks, const std::int64_t* order,
            const Claims& claims, const Result& result) {
  if (masks.n == 0) return;
  const std::uint64_t* bits = claim_matrix(name, context, masks, order, claims);
  const std::int64_t words = tiles(masks.n, 64);
  launch(name, &scan<Result>, 1, scan_threads, context, bits, order, masks.n, words,
         context.workspace<std::uint64_t>(words), result);
}

}  // namespace

void nms(const Context& context, const Masks& masks, const std::int64_t* order, const double* thresholds, bool* keep) {
  greedy("nms", context, masks, order, Exceeds{thresholds}, Keep{keep});
}

void cluster_masks(const Context& context, const Masks& masks, const std::int64_t* order, double threshold,
                   std::int64_t* representative) {
  greedy("cluster_masks", context, masks, order, AtLeast{threshold}, Represent{representative});
}

ESAM_KERNEL(nms);
ESAM_KERNEL(cluster_masks);

}  // namespace esam::cuda
