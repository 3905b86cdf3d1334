// Greedy cover (Sec. 3.4): again and again the mask that covers most of what is still uncovered.
#include <bit>
#include <vector>

#include "common/kernel.hpp"
#include "common/rules.hpp"

namespace esam {

// order [n]; given [stride]: what is covered at the start; picks, gains [n]. Returns the number of picks.
std::int64_t greedy_cover(const Masks& masks, const std::int64_t* order, const std::uint64_t* given, double min_gain,
                          std::int64_t* picks, std::int64_t* gains) {
  std::vector<std::uint64_t> covered(given, given + masks.stride());
  // Gains never grow, so a mask is counted again only while its last known gain could still win.
  std::vector<std::int64_t> bound(masks.area, masks.area + masks.n);
  std::int64_t picked = 0;
  for (;; ++picked) {
    std::int64_t best = -1, best_gain = 0;
    for (std::int64_t k = 0; k < masks.n; ++k) {
      const std::int64_t i = order[k];
      if (bound[i] <= best_gain) continue;
      const CommonWords own = own_words(masks, i);
      std::int64_t gain = 0;
      for (std::size_t word = own.first; word < own.last; ++word)
        gain += std::popcount(masks.mask(i)[word] & ~covered[word]);
      bound[i] = gain;
      if (gain > best_gain) best = i, best_gain = gain;
    }
    if (best < 0 || static_cast<double>(best_gain) < min_gain) return picked;
    picks[picked] = best;
    gains[picked] = best_gain;
    bound[best] = 0;
    const CommonWords own = own_words(masks, best);
    for (std::size_t word = own.first; word < own.last; ++word) covered[word] |= masks.mask(best)[word];
  }
}

ESAM_KERNEL(greedy_cover);

}  // namespace esam
