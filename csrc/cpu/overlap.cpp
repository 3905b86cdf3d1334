// Overlap splitting by guides (Eqs. 5 and 6): every overlap of two object masks goes to one owner.
#include <algorithm>
#include <bit>
#include <numeric>
#include <vector>

#include "common/kernel.hpp"
#include "common/rules.hpp"
#include "cpu/intersect.hpp"

namespace esam {
namespace {

// The points that vote, by the pixel they fall in.
class Ballot {
 public:
  Ballot(const std::int64_t* pixel, const std::int64_t* guide, std::int64_t n, std::size_t words)
      : marks_(words, 0), start_(words * 64 + 1, 0) {
    std::int64_t voting = 0;
    for (std::int64_t i = 0; i < n; ++i)
      if (guide[i] >= 0) ++start_[pixel[i] + 1], ++voting, marks_[pixel[i] / 64] |= 1ull << (pixel[i] % 64);
    std::partial_sum(start_.begin(), start_.end(), start_.begin());
    guide_.resize(voting);
    std::vector<std::int64_t> next(start_.begin(), start_.end() - 1);
    for (std::int64_t i = 0; i < n; ++i)
      if (guide[i] >= 0) guide_[next[pixel[i]]++] = guide[i];
  }

  // The guide with most votes among the points in a & b, words [first, last): ties go to the higher score, then
  // to the lower index; -1 without a vote. `counts` [guides] is all zero before and after.
  std::int64_t winner(const std::uint64_t* a, const std::uint64_t* b, std::size_t first, std::size_t last,
                      const float* scores, std::vector<std::int64_t>& counts) const {
    std::vector<std::int64_t> voted;
    for (std::size_t word = first; word < last; ++word)
      for (std::uint64_t bits = a[word] & b[word] & marks_[word]; bits; bits &= bits - 1) {
        const std::size_t pixel = word * 64 + std::countr_zero(bits);
        for (std::int64_t k = start_[pixel]; k < start_[pixel + 1]; ++k)
          if (counts[guide_[k]]++ == 0) voted.push_back(guide_[k]);
      }
    std::int64_t best = -1;
    for (const std::int64_t g : voted) {
      if (best < 0 || wins(counts[g], scores[g], g, counts[best], scores[best], best)) best = g;
    }
    for (const std::int64_t g : voted) counts[g] = 0;
    return best;
  }

 private:
  std::vector<std::uint64_t> marks_;  // pixels with voting points
  std::vector<std::int64_t> start_;   // first vote of each pixel in guide_
  std::vector<std::int64_t> guide_;
};

}  // namespace

// order, scores [n]; point_pixel, point_guide [points], -1: no vote; guide_scores [guides]; words [n, stride]: of the
// masks afterwards
void split_overlaps(const Masks& given, const std::int64_t* order, Array<const std::int64_t, 1> point_pixel,
                    const std::int64_t* point_guide, const float* scores, const Masks& guides,
                    const float* guide_scores, double delta, double score_margin, std::uint64_t* words) {
  std::copy_n(given.words, given.n * given.stride(), words);
  std::vector<std::int64_t> area(given.area, given.area + given.n);
  const Masks masks{words,   area.data(), given.box,
                    given.n, given.h,     given.w};  // as they stand; the boxes may be too large
  const Ballot ballot(point_pixel.data, point_guide, point_pixel.shape[0], masks.stride());
  std::vector<std::int64_t> counts(guides.n, 0);
  for (std::int64_t i = 0; i < masks.n; ++i)
    for (std::int64_t j = i + 1; j < masks.n; ++j) {
      const std::int64_t p = order[i], q = order[j];
      const CommonWords m = common_words(masks, p, masks, q);
      const std::int64_t common = intersection(masks, p, masks, q, m);
      if (common == 0) continue;
      bool p_loses = false;
      if (!outranks(scores[p], scores[q], score_margin)) {
        std::int64_t guide = -1;
        if (!(share(common, std::max(area[p], area[q])) < delta))
          guide = ballot.winner(masks.mask(p), masks.mask(q), m.first, m.last, guide_scores, counts);
        p_loses = guide < 0 ? area[p] > area[q]
                            : iou(intersection(masks, p, guides, guide), area[p], guides.area[guide]) <
                                  iou(intersection(masks, q, guides, guide), area[q], guides.area[guide]);
      }
      std::uint64_t* loser = words + (p_loses ? p : q) * masks.stride();
      const std::uint64_t* owner = masks.mask(p_loses ? q : p);
      for (std::size_t word = m.first; word < m.last; ++word) loser[word] &= ~owner[word];
      area[p_loses ? p : q] -= common;
    }
}

ESAM_KERNEL(split_overlaps);

}  // namespace esam
