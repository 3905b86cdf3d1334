// Centroid top-k similarity and the mask similarity that follows from it (Eq. 7).
#include <algorithm>
#include <vector>

#include "common/rules.hpp"
#include "cpu/ops.hpp"
#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"

namespace esam {
namespace {

// The k best of what is offered, in the order (value descending, then index ascending); indices come ascending.
struct Best {
  std::int32_t *index, *value;  // [k]
  std::int64_t k, held = 0;
  std::int32_t limit = INT32_MIN;  // what is not above it is not among them

  void offer(std::int32_t who, std::int32_t similarity) {
    std::int64_t slot = held < k ? held++ : k - 1;
    for (; slot > 0 && value[slot - 1] < similarity; --slot)
      value[slot] = value[slot - 1], index[slot] = index[slot - 1];
    value[slot] = similarity, index[slot] = who;
    if (held == k) limit = value[k - 1];
  }
};

}  // namespace

void top_k_similarity(const std::int16_t* features, std::int64_t n, std::int64_t c, std::int64_t k,
                      std::int32_t* index, std::int32_t* value) {
  // Copies filled up with zeros: of the rows, to fours; of the columns, as panels [pairs, panel_columns, 2].
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
    std::fill(index + 4 * first * k, index + std::min(n, 4 * last) * k, -1);
    std::fill(value + 4 * first * k, value + std::min(n, 4 * last) * k, 0);
    std::int32_t dot[4 * panel_columns];
    for (std::int64_t i = 4 * first; i < std::min(n, 4 * last); i += 4) {
      const std::int64_t rows = std::min<std::int64_t>(4, n - i);
      Best best[4];
      for (std::int64_t r = 0; r < rows; ++r) best[r] = {index + (i + r) * k, value + (i + r) * k, k};
      for (std::int64_t j = 0; j < n; j += panel_columns) {
        simd().dot_panel(row.data() + i * pairs * 2, pairs * 2, panel.data() + j * pairs * 2, pairs, dot);
        const std::int64_t columns = std::min<std::int64_t>(panel_columns, n - j);
        for (std::int64_t r = 0; r < rows; ++r)
          for (std::int64_t q = 0; q < columns; ++q)
            if (dot[r * panel_columns + q] > best[r].limit && i + r != j + q)
              best[r].offer(static_cast<std::int32_t>(j + q), dot[r * panel_columns + q]);
      }
    }
  });
}

void mask_similarity(const std::int32_t* neighbours, std::int64_t n, std::int64_t k, const std::int32_t* membership,
                     std::int64_t masks, double* out) {
  std::vector<std::int64_t> count(masks * masks, 0), centres(masks, 0);
  for (std::int64_t c = 0; c < n; ++c) {
    const std::int32_t i = membership[c];
    if (i < 0) continue;
    ++centres[i];
    for (std::int64_t slot = 0; slot < k; ++slot) {
      const std::int32_t other = neighbours[c * k + slot];
      if (other >= 0 && membership[other] >= 0) ++count[i * masks + membership[other]];
    }
  }
  for (std::int64_t i = 0; i < masks; ++i)
    for (std::int64_t j = 0; j < masks; ++j)
      out[i * masks + j] = i == j ? 0.0
                                  : std::max(share(count[i * masks + j], centres[i] * k),
                                             share(count[j * masks + i], centres[j] * k));
}

}  // namespace esam
