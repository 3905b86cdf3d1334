// Greedy cover (Sec. 3.4): again and again the mask that covers most of what is still uncovered.
#include <bit>
#include <vector>

#include "common/rules.hpp"
#include "cpu/ops.hpp"

namespace esam {

std::int64_t greedy_cover(const Masks& masks, const std::int64_t* order, std::uint64_t* covered, double min_gain,
                          std::int64_t* picks, std::int64_t* gains) {
  const auto range = [&](std::int64_t i, std::size_t& first, std::size_t& last) {
    const Meeting m = meeting(masks.box + 4 * i, masks.area[i], masks.box + 4 * i, masks.area[i], masks.w);
    first = m.first, last = m.last;
  };
  // Gains never grow, so a mask is counted again only while its last known gain could still win.
  std::vector<std::int64_t> bound(masks.area, masks.area + masks.n);
  std::int64_t picked = 0;
  for (std::size_t first, last;; ++picked) {
    std::int64_t best = -1, best_gain = 0;
    for (std::int64_t k = 0; k < masks.n; ++k) {
      const std::int64_t i = order[k];
      if (bound[i] <= best_gain) continue;
      range(i, first, last);
      std::int64_t gain = 0;
      for (std::size_t word = first; word < last; ++word) gain += std::popcount(masks.mask(i)[word] & ~covered[word]);
      bound[i] = gain;
      if (gain > best_gain) best = i, best_gain = gain;
    }
    if (best < 0 || static_cast<double>(best_gain) < min_gain) return picked;
    picks[picked] = best;
    gains[picked] = best_gain;
    bound[best] = 0;
    range(best, first, last);
    for (std::size_t word = first; word < last; ++word) covered[word] |= masks.mask(best)[word];
  }
}

}  // namespace esam
