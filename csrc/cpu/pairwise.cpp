// Mask IoU for all pairs, and each mask's best match.
#include "common/rules.hpp"
#include "cpu/intersect.hpp"
#include "cpu/ops.hpp"
#include "cpu/parallel.hpp"

namespace esam {
namespace {

// put(i, j, intersection) for all pairs; of a set with itself only half are counted.
template <class Put>
void for_pairs(const Masks& a, const Masks& b, const Put& put) {
  const bool same = a.words == b.words && a.n == b.n;
  parallel_for(a.n, 8, [&](std::int64_t first, std::int64_t last) {
    constexpr std::int64_t tile = 64;  // b-masks that stay in cache while the chunk's a-masks pass
    for (std::int64_t j0 = same ? first / tile * tile : 0; j0 < b.n; j0 += tile)
      for (std::int64_t i = first; i < last; ++i)
        for (std::int64_t j = same ? std::max(i, j0) : j0; j < std::min(b.n, j0 + tile); ++j) {
          const std::int64_t inter = intersection(a, i, b, j);
          put(i, j, inter);
          if (same) put(j, i, inter);
        }
  });
}

}  // namespace

void intersections(const Masks& a, const Masks& b, std::int32_t* out) {
  for_pairs(a, b, [&](std::int64_t i, std::int64_t j, std::int64_t inter) {
    out[i * b.n + j] = static_cast<std::int32_t>(inter);
  });
}

void mask_iou(const Masks& a, const Masks& b, double* out) {
  for_pairs(a, b, [&](std::int64_t i, std::int64_t j, std::int64_t inter) {
    out[i * b.n + j] = iou(inter, a.area[i], b.area[j]);
  });
}

void max_iou(const Masks& a, const Masks& b, double* best, std::int64_t* index) {
  parallel_for(a.n, 8, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      best[i] = 0.0;
      index[i] = b.n > 0 ? 0 : -1;
      for (std::int64_t j = 0; j < b.n; ++j) {
        const Meeting m = meet(a, i, b, j);
        if (!(iou(m.most, a.area[i], b.area[j]) > best[i])) continue;
        const double value = iou(intersection(a, i, b, j, m), a.area[i], b.area[j]);
        if (value > best[i]) best[i] = value, index[i] = j;
      }
    }
  });
}

}  // namespace esam
