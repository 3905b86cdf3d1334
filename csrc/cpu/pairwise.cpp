// Mask IoU for all pairs, and each mask's best match.
#include "common/kernel.hpp"
#include "common/rules.hpp"
#include "cpu/intersect.hpp"
#include "cpu/parallel.hpp"

namespace esam {
namespace {

// Intersections of masks i .. i + 3 of `a` with masks j .. j + 3 of `b`: in one pass where the words that they need are
// mostly the same, else one by one. out[4, 4].
void tile_intersections(const Masks& a, std::int64_t i, const Masks& b, std::int64_t j, std::int64_t* out) {
  CommonWords m[16];
  std::size_t first = ~std::size_t{0}, last = 0, wanted = 0;
  for (int k = 0; k < 16; ++k) {
    m[k] = common_words(a, i + k / 4, b, j + k % 4);
    wanted += m[k].last - m[k].first;
    if (m[k].most > 0) first = std::min(first, m[k].first), last = std::max(last, m[k].last);
  }
  if (last > first && 16 * (last - first) <= wanted + wanted / 2)
    return simd().and_count_tile(a.mask(i) + first, b.mask(j) + first, a.stride(), last - first, out);
  for (int k = 0; k < 16; ++k) out[k] = intersection(a, i + k / 4, b, j + k % 4, m[k]);
}

// out[i, j] = value(i, j, intersection) for all pairs; for a set with itself only half are counted. In tiles of 4 x 4
// masks, and a panel of columns at a time, which stays in cache for all rows of a chunk.
template <class T, class Value>
void for_pairs(const Masks& a, const Masks& b, T* out, const Value& value) {
  constexpr std::int64_t panel = 64;
  const std::int64_t chunk = std::max<std::int64_t>(4, worth(20.0 * b.n)) * 4;
  const bool same = a.words == b.words && a.n == b.n;
  parallel_for(a.n, chunk, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t j0 = same ? first / 4 * 4 : 0; j0 < b.n; j0 += panel)
      for (std::int64_t i = first; i < last; i += 4)
        for (std::int64_t j = same ? std::max(i, j0) : j0; j < std::min(b.n, j0 + panel); j += 4) {
          const std::int64_t rows = std::min<std::int64_t>(4, last - i), columns = std::min<std::int64_t>(4, b.n - j);
          std::int64_t inter[16];
          if (rows == 4 && columns == 4)
            tile_intersections(a, i, b, j, inter);
          else
            for (std::int64_t k = 0; k < rows * columns; ++k)
              inter[k / columns * 4 + k % columns] = intersection(a, i + k / columns, b, j + k % columns);
          for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < columns; ++c)
              out[(i + r) * b.n + j + c] = value(i + r, j + c, inter[4 * r + c]);
        }
  });
  if (!same) return;
  constexpr std::int64_t tile = 32;  // the mirror image, tile by tile: rows and columns stay in cache
  parallel_for((a.n + tile - 1) / tile, worth(tile * 1.0 * a.n), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i0 = first * tile; i0 < std::min(a.n, last * tile); i0 += tile)
      for (std::int64_t j0 = 0; j0 <= i0; j0 += tile)
        for (std::int64_t i = i0; i < std::min(a.n, i0 + tile); ++i)
          for (std::int64_t j = j0; j < std::min(i, j0 + tile); ++j) out[i * b.n + j] = out[j * b.n + i];
  });
}

}  // namespace

// out [a.n, b.n]
void intersections(const Masks& a, const Masks& b, std::int32_t* out) {
  for_pairs(a, b, out, [](std::int64_t, std::int64_t, std::int64_t inter) { return static_cast<std::int32_t>(inter); });
}

// out [a.n, b.n]
void mask_iou(const Masks& a, const Masks& b, double* out) {
  for_pairs(a, b, out,
            [&](std::int64_t i, std::int64_t j, std::int64_t inter) { return iou(inter, a.area[i], b.area[j]); });
}

// best, index [a.n]; 0 and -1 without a mask in b
void max_iou(const Masks& a, const Masks& b, double* best, std::int64_t* index) {
  parallel_for(a.n, worth(5.0 * b.n), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      best[i] = 0.0;
      index[i] = b.n > 0 ? 0 : -1;
      for (std::int64_t j = 0; j < b.n; ++j) {
        const CommonWords m = common_words(a, i, b, j);
        if (!(iou(m.most, a.area[i], b.area[j]) > best[i])) continue;
        const double value = iou(intersection(a, i, b, j, m), a.area[i], b.area[j]);
        if (value > best[i]) best[i] = value, index[i] = j;
      }
    }
  });
}

ESAM_KERNEL(intersections);
ESAM_KERNEL(mask_iou);
ESAM_KERNEL(max_iou);

}  // namespace esam
