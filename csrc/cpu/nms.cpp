// Greedy NMS (Eqs. 1 and 4) and gallery clustering: both look for the first earlier leader that claims a mask.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "common/kernel.hpp"
#include "common/rules.hpp"
#include "cpu/intersect.hpp"
#include "cpu/parallel.hpp"

namespace esam {
namespace {

// The leaders so far, by area: masks whose areas differ too much are never compared.
class Leaders {
 public:
  struct Leader {
    std::int64_t mask, rank, area;  // rank: in the order in which they became leaders
    std::int32_t box[4];
  };

  void add(const Masks& masks, std::int64_t i) {
    Leader one{i, count_++, masks.area[i], {}};
    std::copy_n(masks.box + 4 * i, 4, one.box);
    by_area_[bucket(one.area)].push_back(one);
  }
  std::int64_t size() const { return count_; }
  // All leaders so far are settled.
  void settle() {
    for (std::size_t b = 0; b < by_area_.size(); ++b) settled_[b] = by_area_[b].size();
  }
  // The first leader, of those that are settled or of the others, for which claims(leader) holds; -1 if none. Only
  // areas in [low, high] are tried.
  template <class Claims>
  std::int64_t first(bool settled, std::int64_t low, std::int64_t high, const Claims& claims) const {
    std::int64_t best = -1, rank = INT64_MAX;
    for (std::size_t b = bucket(low); b <= bucket(high); ++b)
      for (std::size_t k = settled ? 0 : settled_[b], end = settled ? settled_[b] : by_area_[b].size(); k < end; ++k) {
        const Leader& one = by_area_[b][k];
        if (one.rank > rank) break;
        if (claims(one)) {
          best = one.mask, rank = one.rank;
          break;
        }
      }
    return best;
  }

 private:
  // Four to an octave.
  static std::size_t bucket(std::int64_t area) {
    if (area < 4) return area;
    const int octave = std::bit_width(static_cast<std::uint64_t>(area)) - 1;
    return 4 * (octave - 1) + (area >> (octave - 2) & 3);
  }

  std::array<std::vector<Leader>, 4 * 63> by_area_;
  std::array<std::size_t, 4 * 63> settled_{};
  std::int64_t count_ = 0;
};

// Visits masks in `order`. claims(p, iou) tells whether leader p claims a mask with that IoU; it must be monotone
// in iou, and false below `least`. A mask that no earlier leader claims becomes a leader itself. leader[q]: the
// mask that claimed q (q itself: none did).
template <class Claims>
void claim(const Masks& masks, const std::int64_t* order, double least, const Claims& claims, std::int64_t* leader) {
  constexpr std::int64_t block = 512;
  const double ratio = least * (1.0 - 1e-9);  // of areas, safely below what an IoU of `least` needs
  Leaders leaders;
  const auto search = [&](std::int64_t q, bool settled) {
    const std::int64_t area = masks.area[q], all = static_cast<std::int64_t>(masks.h) * masks.w;
    const std::int64_t low = static_cast<std::int64_t>(ratio * static_cast<double>(area));
    const std::int64_t high = static_cast<double>(area) < ratio * static_cast<double>(all)
                                  ? static_cast<std::int64_t>(static_cast<double>(area) / ratio)
                                  : all;
    return leaders.first(settled, low, high, [&](const Leaders::Leader& p) {
      const CommonWords m = common_words(p.box, p.area, masks.box + 4 * q, area, masks.w);
      return claims(p.mask, iou(m.most, p.area, area)) &&
             claims(p.mask, iou(intersection(masks, p.mask, masks, q, m), p.area, area));
    });
  };
  for (std::int64_t start = 0; start < masks.n; start += block) {
    const std::int64_t end = std::min(masks.n, start + block);
    leaders.settle();
    parallel_for(end - start, worth(1.0 * leaders.size()), [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = start + first; i < start + last; ++i) leader[order[i]] = search(order[i], true);
    });
    for (std::int64_t i = start; i < end; ++i) {
      const std::int64_t q = order[i];
      if (leader[q] < 0) leader[q] = search(q, false);
      if (leader[q] < 0) leaders.add(masks, leader[q] = q);
    }
  }
}

}  // namespace

// order [n], thresholds [n], keep [n]
void nms(const Masks& masks, const std::int64_t* order, const double* thresholds, bool* keep) {
  std::vector<std::int64_t> leader(masks.n);
  const double least = masks.n > 0 ? *std::min_element(thresholds, thresholds + masks.n) : 0.0;
  claim(masks, order, least, [&](std::int64_t p, double value) { return value > thresholds[p]; }, leader.data());
  for (std::int64_t i = 0; i < masks.n; ++i) keep[i] = leader[i] == i;
}

// order [n], representative [n]
void cluster_masks(const Masks& masks, const std::int64_t* order, double threshold, std::int64_t* representative) {
  claim(masks, order, threshold, [&](std::int64_t, double value) { return value >= threshold; }, representative);
}

ESAM_KERNEL(nms);
ESAM_KERNEL(cluster_masks);

}  // namespace esam
