// Watershed by flooding: every regional minimum becomes a basin, lower pixels first, equal ones in order of arrival.
#include <algorithm>
#include <array>
#include <vector>

#include "common/kernel.hpp"

namespace esam {

// image, labels [h, w]. Returns the number of basins.
std::int32_t watershed(Array<const std::uint8_t, 2> image, std::int32_t* labels) {
  const std::uint8_t* relief = image.data;
  const std::int64_t h = image.shape[0], w = image.shape[1];
  const auto around = [=](std::int32_t p, auto&& visit) {  // up, left, right, down
    const std::int64_t x = p % w;
    if (p >= w) visit(static_cast<std::int32_t>(p - w));
    if (x > 0) visit(p - 1);
    if (x + 1 < w) visit(p + 1);
    if (p + w < h * w) visit(static_cast<std::int32_t>(p + w));
  };
  std::fill_n(labels, h * w, -1);
  std::vector<std::int32_t> flat;  // the plateau being looked at
  std::vector<char> seen(h * w, 0);
  std::array<std::vector<std::int32_t>, 256> queue;
  std::int32_t basins = 0;
  for (std::int32_t start = 0; start < h * w; ++start) {
    if (seen[start]) continue;
    bool lowest = true;
    flat.assign(1, start);
    seen[start] = 1;
    for (std::size_t i = 0; i < flat.size(); ++i)
      around(flat[i], [&](std::int32_t q) {
        lowest = lowest && relief[q] >= relief[start];
        if (seen[q] || relief[q] != relief[start]) return;
        seen[q] = 1;
        flat.push_back(q);
      });
    if (!lowest) continue;
    for (const std::int32_t p : flat) labels[p] = basins;
    queue[relief[start]].insert(queue[relief[start]].end(), flat.begin(), flat.end());
    ++basins;
  }
  for (std::size_t level = 0; level < queue.size(); ++level) {
    for (std::size_t i = 0; i < queue[level].size(); ++i) {
      const std::int32_t p = queue[level][i];
      around(p, [&](std::int32_t q) {
        if (labels[q] >= 0) return;
        labels[q] = labels[p];
        queue[std::max<std::size_t>(level, relief[q])].push_back(q);
      });
    }
    queue[level] = {};
  }
  return basins;
}

ESAM_KERNEL(watershed);

}  // namespace esam
