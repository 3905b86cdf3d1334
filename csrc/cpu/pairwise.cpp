// Mask IoU for all pairs, and each mask's best match.
#include "common/rules.hpp"
#include "cpu/intersect.hpp"
#include "cpu/ops.hpp"
#include "cpu/parallel.hpp"

namespace esam {
namespace {

// Intersections of masks i .. i + 3 of `a` with mask j of `b`: together where the words they need are mostly the same.
void four_intersections(const Masks& a, std::int64_t i, const Masks& b, std::int64_t j, std::int64_t* out) {
  Meeting m[4];
  std::size_t first = ~std::size_t{0}, last = 0, wanted = 0;
  for (int k = 0; k < 4; ++k) {
    m[k] = meet(a, i + k, b, j);
    wanted += m[k].last - m[k].first;
    if (m[k].most > 0) first = std::min(first, m[k].first), last = std::max(last, m[k].last);
  }
  if (last > first && 4 * (last - first) <= wanted + wanted / 2)
    return simd().and_count4(a.mask(i) + first, a.stride(), b.mask(j) + first, last - first, out);
  for (int k = 0; k < 4; ++k) out[k] = intersection(a, i + k, b, j, m[k]);
}

// out[i, j] = value(i, j, intersection) for all pairs; of a set with itself only half are counted.
template <class T, class Value>
void for_pairs(const Masks& a, const Masks& b, T* out, const Value& value) {
  const bool same = a.words == b.words && a.n == b.n;
  parallel_for((a.n + 3) / 4, 2, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = 4 * first; i < std::min(a.n, 4 * last); i += 4) {
      const std::int64_t rows = std::min<std::int64_t>(4, a.n - i);
      for (std::int64_t j = same ? i : 0; j < b.n; ++j) {
        std::int64_t inter[4];
        if (rows == 4)
          four_intersections(a, i, b, j, inter);
        else
          for (std::int64_t k = 0; k < rows; ++k) inter[k] = intersection(a, i + k, b, j);
        for (std::int64_t k = 0; k < rows; ++k) out[(i + k) * b.n + j] = value(i + k, j, inter[k]);
      }
    }
  });
  if (!same) return;
  constexpr std::int64_t tile = 32;  // the mirror image, tile by tile: rows and columns stay in cache
  parallel_for((a.n + tile - 1) / tile, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i0 = first * tile; i0 < std::min(a.n, last * tile); i0 += tile)
      for (std::int64_t j0 = 0; j0 <= i0; j0 += tile)
        for (std::int64_t i = i0; i < std::min(a.n, i0 + tile); ++i)
          for (std::int64_t j = j0; j < std::min(i, j0 + tile); ++j) out[i * b.n + j] = out[j * b.n + i];
  });
}

}  // namespace

void intersections(const Masks& a, const Masks& b, std::int32_t* out) {
  for_pairs(a, b, out, [](std::int64_t, std::int64_t, std::int64_t inter) { return static_cast<std::int32_t>(inter); });
}

void mask_iou(const Masks& a, const Masks& b, double* out) {
  for_pairs(a, b, out,
            [&](std::int64_t i, std::int64_t j, std::int64_t inter) { return iou(inter, a.area[i], b.area[j]); });
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
