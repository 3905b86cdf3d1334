// Centroid top-k similarity and the mask similarity that follows from it (Eq. 7).
#include <algorithm>
#include <vector>

#include "common/rules.hpp"
#include "cpu/ops.hpp"
#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"

namespace esam {

void top_k_similarity(const std::int16_t* features, std::int64_t n, std::int64_t c, std::int64_t k,
                      std::int32_t* index, std::int32_t* value) {
  parallel_for(n, 16, [&](std::int64_t first, std::int64_t last) {
    const auto dot = simd().dot;
    std::fill(index + first * k, index + last * k, -1);
    std::fill(value + first * k, value + last * k, 0);
    for (std::int64_t i = first; i < last; ++i) {
      std::int32_t* best = value + i * k;
      std::int32_t* who = index + i * k;
      std::int64_t held = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        if (j == i) continue;
        const std::int32_t similarity = dot(features + i * c, features + j * c, c);
        if (held == k && similarity <= best[k - 1]) continue;  // ties stay with the lower index
        std::int64_t slot = held < k ? held++ : k - 1;
        for (; slot > 0 && best[slot - 1] < similarity; --slot) best[slot] = best[slot - 1], who[slot] = who[slot - 1];
        best[slot] = similarity;
        who[slot] = static_cast<std::int32_t>(j);
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
