// Overlap splitting by guides (Eqs. 5 and 6): every overlap of two object masks goes to one owner.
#include "cuda/claims.cuh"

namespace esam::cuda {
namespace {

constexpr int threads = 256, warps = threads / 32;

// Sum over the block; every thread gets it. `part` [warps] is shared memory.
__device__ std::int64_t block_sum(int value, int* part) {
  value = warp_sum(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = value;
  __syncthreads();
  std::int64_t sum = 0;
  for (int k = 0; k < warps; ++k) sum += part[k];
  return sum;
}

__device__ std::int64_t block_intersection(const std::uint64_t* a, const std::uint64_t* b, const CommonWords& m,
                                           int* part) {
  int count = 0;
  for (std::size_t word = m.first + threadIdx.x; word < m.last; word += threads) count += __popcll(a[word] & b[word]);
  return block_sum(count, part);
}

struct Ballot {
  const std::int64_t *pixel, *guide;  // [n]
  std::int64_t n;
  const float* scores;  // [guides]
  int* counts;          // [guides], all zero between votes
};

// The one of two guides that wins; -1: none.
__device__ std::int64_t winner(const Ballot& ballot, std::int64_t a, std::int64_t b) {
  if (a < 0 || b < 0) return a < 0 ? b : a;
  const bool a_wins = wins(ballot.counts[a], ballot.scores[a], a, ballot.counts[b], ballot.scores[b], b);
  return a_wins ? a : b;
}

// The guide with most votes among the points in both masks; -1 without a vote.
__device__ std::int64_t winner(const Ballot& ballot, const std::uint64_t* a, const std::uint64_t* b,
                               std::int64_t* part) {
  const auto votes = [&](std::int64_t point) {
    const std::int64_t pixel = ballot.pixel[point];
    return ballot.guide[point] >= 0 && ((a[pixel / 64] & b[pixel / 64]) >> (pixel % 64) & 1);
  };
  for (std::int64_t point = threadIdx.x; point < ballot.n; point += threads)
    if (votes(point)) atomicAdd(ballot.counts + ballot.guide[point], 1);
  __syncthreads();
  std::int64_t best = -1;
  for (std::int64_t point = threadIdx.x; point < ballot.n; point += threads)
    if (votes(point)) best = winner(ballot, best, ballot.guide[point]);
  for (int step = 16; step > 0; step /= 2) {
    const long long other = __shfl_xor_sync(full, static_cast<long long>(best), step);
    best = winner(ballot, best, other);
  }
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = best;
  __syncthreads();
  for (int k = 0; k < warps; ++k) best = winner(ballot, best, part[k]);
  __syncthreads();
  for (std::int64_t point = threadIdx.x; point < ballot.n; point += threads)
    if (votes(point)) atomicAdd(ballot.counts + ballot.guide[point], -1);
  return best;
}

// One block takes the overlapping pairs, one by one in the order, since each looks at what the ones before it left.
__global__ void __launch_bounds__(threads)
    split(std::uint64_t* words, std::int64_t* area, Masks masks, const std::int64_t* order,
          const std::uint64_t* overlapping, const float* scores, Masks guides, Ballot ballot, double delta,
          double score_margin) {
  __shared__ int counts[warps];
  __shared__ std::int64_t best[warps];
  const std::int64_t row_words = (masks.n + 63) / 64;
  for (std::int64_t guide = threadIdx.x; guide < guides.n; guide += threads) ballot.counts[guide] = 0;
  __syncthreads();
  for (std::int64_t i = 0; i < masks.n; ++i)
    for (std::int64_t word = i / 64; word < row_words; ++word)
      for (std::uint64_t left = overlapping[i * row_words + word]; left; left &= left - 1) {
        const std::int64_t p = order[i], q = order[word * 64 + __ffsll(static_cast<long long>(left)) - 1];
        const CommonWords m = common_words(masks, p, masks, q);
        const std::int64_t p_area = area[p], q_area = area[q];
        const std::int64_t common = block_intersection(masks.mask(p), masks.mask(q), m, counts);
        if (common == 0) continue;
        const bool p_outranks = outranks(scores[p], scores[q], score_margin);
        std::int64_t guide = -1;
        if (!p_outranks && !(share(common, p_area > q_area ? p_area : q_area) < delta))
          guide = winner(ballot, masks.mask(p), masks.mask(q), best);
        bool p_loses = !p_outranks && p_area > q_area;
        if (guide >= 0) {
          const std::uint64_t* guide_mask = guides.mask(guide);
          const std::int64_t with_p =
              block_intersection(masks.mask(p), guide_mask, common_words(masks, p, guides, guide), counts);
          const std::int64_t with_q =
              block_intersection(masks.mask(q), guide_mask, common_words(masks, q, guides, guide), counts);
          p_loses = iou(with_p, p_area, guides.area[guide]) < iou(with_q, q_area, guides.area[guide]);
        }
        std::uint64_t* loser = words + (p_loses ? p : q) * masks.stride();
        const std::uint64_t* owner = masks.mask(p_loses ? q : p);
        __syncthreads();  // everyone has read areas and words
        for (std::size_t k = m.first + threadIdx.x; k < m.last; k += threads) loser[k] &= ~owner[k];
        if (threadIdx.x == 0) area[p_loses ? p : q] -= common;
        __syncthreads();
      }
}

}  // namespace

void split_overlaps(const Context& context, const Masks& given, const std::int64_t* order,
                    Array<const std::int64_t, 1> point_pixel, const std::int64_t* point_guide, const float* scores,
                    const Masks& guides, const float* guide_scores, double delta, double score_margin,
                    std::uint64_t* words) {
  if (given.n == 0) return;
  std::int64_t* area = context.workspace<std::int64_t>(given.n);
  context.copy(given.words, given.n * given.stride(), words);
  context.copy(given.area, given.n, area);
  const Masks masks{words, area, given.box, given.n, given.h, given.w};  // as they stand; the boxes may be too large
  // Masks only shrink: no overlap appears that was not there at the start.
  const std::uint64_t* overlapping = claim_matrix("split_overlaps", context, masks, order, Overlaps{});
  const Ballot ballot{point_pixel.data, point_guide, point_pixel.shape[0], guide_scores,
                      context.workspace<int>(guides.n)};
  launch("split_overlaps", &split, 1, threads, context, words, area, masks, order, overlapping, scores, guides, ballot,
         delta, score_margin);
}

ESAM_KERNEL(split_overlaps);

}  // namespace esam::cuda
