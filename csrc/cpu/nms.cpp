// Greedy NMS (Eqs. 1 and 4) and gallery clustering: both look for the first earlier leader that claims a mask.
#include <vector>

#include "common/rules.hpp"
#include "cpu/intersect.hpp"
#include "cpu/ops.hpp"
#include "cpu/parallel.hpp"

namespace esam {
namespace {

// Visits masks in `order`. claims(p, iou) tells whether leader p claims a mask with that IoU; it must be monotone
// in iou. A mask that no earlier leader claims becomes a leader itself. leader[q] = who claimed q (q: itself).
template <class Claims>
void claim(const Masks& masks, const std::int64_t* order, const Claims& claims, std::int64_t* leader) {
  constexpr std::int64_t block = 256;
  std::vector<std::int64_t> leaders;
  const auto search = [&](std::int64_t q, std::size_t from, std::size_t to) -> std::int64_t {
    for (std::size_t k = from; k < to; ++k) {
      const std::int64_t p = leaders[k];
      const Meeting m = meet(masks, p, masks, q);
      if (claims(p, iou(m.most, masks.area[p], masks.area[q])) &&
          claims(p, iou(intersection(masks, p, masks, q, m), masks.area[p], masks.area[q])))
        return p;
    }
    return -1;
  };
  for (std::int64_t start = 0; start < masks.n; start += block) {
    const std::int64_t end = std::min(masks.n, start + block);
    const std::size_t settled = leaders.size();
    parallel_for(end - start, 16, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = start + first; i < start + last; ++i) leader[order[i]] = search(order[i], 0, settled);
    });
    for (std::int64_t i = start; i < end; ++i) {
      const std::int64_t q = order[i];
      if (leader[q] < 0) leader[q] = search(q, settled, leaders.size());
      if (leader[q] < 0) leaders.push_back(leader[q] = q);
    }
  }
}

}  // namespace

void nms(const Masks& masks, const std::int64_t* order, const double* thresholds, bool* keep) {
  std::vector<std::int64_t> leader(masks.n);
  claim(masks, order, [&](std::int64_t p, double value) { return value > thresholds[p]; }, leader.data());
  for (std::int64_t i = 0; i < masks.n; ++i) keep[i] = leader[i] == i;
}

void cluster_masks(const Masks& masks, const std::int64_t* order, double threshold, std::int64_t* representative) {
  claim(masks, order, [&](std::int64_t, double value) { return value >= threshold; }, representative);
}

}  // namespace esam
