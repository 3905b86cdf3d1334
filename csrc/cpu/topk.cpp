// Centroid top-k similarity and the mask similarity that follows from it (Eq. 7).
#include <algorithm>
#include <vector>

#include "common/kernel.hpp"
#include "common/rules.hpp"
#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"

namespace esam {
namespace {

// A similarity and its index as one number that is larger for a larger value, then for a lower index.
std::int64_t key_of(std::int32_t value, std::int64_t index) {
  return static_cast<std::int64_t>(value) * (std::int64_t{1} << 32) + (UINT32_MAX - index);
}
std::int32_t value_of(std::int64_t key) { return static_cast<std::int32_t>(key >> 32); }
std::int32_t index_of(std::int64_t key) { return static_cast<std::int32_t>(UINT32_MAX - (key & UINT32_MAX)); }
constexpr std::int64_t none = INT64_MIN;

// Put a key in its place among the k best, descending; without a branch, which would often be predicted wrongly.
void offer(std::int64_t* best, std::int64_t k, std::int64_t key) {
  for (std::int64_t slot = k - 1; slot > 0; --slot) best[slot] = std::min(best[slot - 1], std::max(best[slot], key));
  best[0] = std::max(best[0], key);
}

bool any_above(const std::int32_t* eight, std::int32_t limit) {
  int found = 0;
  for (int i = 0; i < 8; ++i) found |= eight[i] > limit;
  return found;
}

}  // namespace

// vectors [n, c]; index, value [n, k]
void top_k_similarity(Array<const std::int16_t, 2> vectors, std::int64_t k, std::int32_t* index, std::int32_t* value) {
  const std::int16_t* features = vectors.data;
  const std::int64_t n = vectors.shape[0], c = vectors.shape[1];
  // Copies padded with zeros: the rows to a multiple of four, the columns as panels [pairs, panel_columns, 2].
  const std::int64_t pairs = (c + 1) / 2, fours = (n + 3) / 4, panels = (n + panel_columns - 1) / panel_columns;
  std::vector<std::int16_t> row(fours * 4 * pairs * 2), panel(panels * panel_columns * pairs * 2);
  parallel_for(panels, worth(1.0 * panel_columns * c), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first * panel_columns; i < std::min(n, last * panel_columns); ++i) {
      std::copy(features + i * c, features + (i + 1) * c, row.data() + i * pairs * 2);
      std::int16_t* column = panel.data() + (i / panel_columns * pairs * panel_columns + i % panel_columns) * 2;
      for (std::int64_t at = 0; at < c; ++at) column[at / 2 * panel_columns * 2 + at % 2] = features[i * c + at];
    }
  });
  parallel_for(fours, worth(4.0 * n * (2.0 + 0.02 * c)), [&](std::int64_t first, std::int64_t last) {
    std::int32_t dot[4 * panel_columns];
    std::vector<std::int64_t> best(4 * k);
    for (std::int64_t i = 4 * first; i < std::min(n, 4 * last); i += 4) {
      const std::int64_t rows = std::min<std::int64_t>(4, n - i);
      std::fill(best.begin(), best.end(), none);
      for (std::int64_t j = 0; j < n; j += panel_columns) {
        simd().dot_panel(row.data() + i * pairs * 2, pairs * 2, panel.data() + j * pairs * 2, pairs, dot);
        const std::int64_t columns = std::min<std::int64_t>(panel_columns, n - j);
        for (std::int64_t r = 0; r < rows; ++r)
          for (std::int64_t group = 0; group < columns; group += 8) {  // most hold no candidate
            const std::int32_t* similarity = dot + r * panel_columns + group;
            std::int64_t* mine = best.data() + r * k;
            if (!any_above(similarity, value_of(mine[k - 1]))) continue;
            for (std::int64_t q = 0; q < std::min<std::int64_t>(8, columns - group); ++q)
              if (similarity[q] > value_of(mine[k - 1]) && i + r != j + group + q)
                offer(mine, k, key_of(similarity[q], j + group + q));
          }
      }
      for (std::int64_t slot = 0; slot < rows * k; ++slot) {
        index[i * k + slot] = best[slot] == none ? -1 : index_of(best[slot]);
        value[i * k + slot] = best[slot] == none ? 0 : value_of(best[slot]);
      }
    }
  });
}

// neighbours [n, k], membership [n], out [masks, masks]
void mask_similarity(Array<const std::int32_t, 2> neighbours, const std::int32_t* membership, std::int64_t masks,
                     double* out) {
  const std::int64_t n = neighbours.shape[0], k = neighbours.shape[1];
  std::vector<std::int64_t> count(masks * masks, 0), centres(masks, 0);
  for (std::int64_t c = 0; c < n; ++c) {
    const std::int32_t i = membership[c];
    if (i < 0) continue;
    ++centres[i];
    for (std::int64_t slot = 0; slot < k; ++slot) {
      const std::int32_t other = neighbours.data[c * k + slot];
      if (other >= 0 && membership[other] >= 0) ++count[i * masks + membership[other]];
    }
  }
  for (std::int64_t i = 0; i < masks; ++i)
    for (std::int64_t j = 0; j < masks; ++j)
      out[i * masks + j] =
          i == j ? 0.0
                 : std::max(share(count[i * masks + j], centres[i] * k), share(count[j * masks + i], centres[j] * k));
}

ESAM_KERNEL(top_k_similarity);
ESAM_KERNEL(mask_similarity);

}  // namespace esam
