// A binary partition tree: neighbouring regions merge, the cheapest pair first, until one is left.
#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <tuple>
#include <utility>
#include <vector>

#include "common/kernel.hpp"

namespace esam {
namespace {

struct Border {            // what two neighbours share
  std::int32_t low, high;  // their nodes
  std::int64_t length;     // pixel sides
  double strength;         // summed along it
};

// Pixel sides between different labels, summed to one border a pair in raster order, sorted by (low, high).
std::vector<Border> borders(const std::int32_t* labels, const float* boundary, std::int64_t h, std::int64_t w) {
  std::vector<Border> sides;
  const auto add_side = [&](std::int64_t p, std::int64_t q) {
    if (labels[p] == labels[q]) return;
    const auto [low, high] = std::minmax(labels[p], labels[q]);
    sides.push_back({low, high, 1, std::max(boundary[p], boundary[q])});
  };
  for (std::int64_t y = 0; y < h; ++y)
    for (std::int64_t x = 0; x < w; ++x) {
      const std::int64_t p = y * w + x;
      if (x + 1 < w) add_side(p, p + 1);
      if (y + 1 < h) add_side(p, p + w);
    }
  std::stable_sort(sides.begin(), sides.end(), [](const Border& a, const Border& b) {
    return std::pair{a.low, a.high} < std::pair{b.low, b.high};
  });
  std::vector<Border> joined;
  for (const Border& side : sides) {
    if (joined.empty() || joined.back().low != side.low || joined.back().high != side.high) {
      joined.push_back(side);
    } else {
      joined.back().length += 1;
      joined.back().strength += side.strength;
    }
  }
  return joined;
}

}  // namespace

// labels [h, w] in 0..regions-1, boundary [h, w], planes [h, w, channels]; the outputs [2 * regions - 1]
void region_tree(const std::int32_t* labels, const float* boundary, Array<const float, 3> planes, std::int32_t regions,
                 std::int32_t* parent, double* height, std::int64_t* area, std::int64_t* perimeter, double* strength) {
  const float* features = planes.data;
  const std::int64_t h = planes.shape[0], w = planes.shape[1], channels = planes.shape[2];
  const std::int32_t nodes = 2 * regions - 1;
  std::fill_n(parent, nodes, -1);
  std::fill_n(height, nodes, 0.0);
  std::fill_n(area, nodes, std::int64_t{0});
  std::fill_n(perimeter, nodes, std::int64_t{0});
  std::fill_n(strength, nodes, 0.0);
  std::vector<double> sum(static_cast<std::size_t>(nodes) * channels, 0.0);  // [nodes, channels]
  for (std::int64_t p = 0; p < h * w; ++p) {
    double* into = sum.data() + labels[p] * channels;
    ++area[labels[p]];
    for (std::int64_t c = 0; c < channels; ++c) into[c] += features[p * channels + c];
  }

  std::vector<Border> border = borders(labels, boundary, h, w);
  std::vector<std::vector<std::int32_t>> around(nodes);  // indices of borders; some lead to nodes already merged
  using Step = std::tuple<double, std::int32_t, std::int32_t, std::int32_t>;  // cost, low, high, border
  std::priority_queue<Step, std::vector<Step>, std::greater<Step>> queue;
  const auto propose = [&](std::int32_t index) {
    const Border& b = border[index];
    const double n = static_cast<double>(area[b.low]), m = static_cast<double>(area[b.high]);
    const double *of_low = sum.data() + b.low * channels, *of_high = sum.data() + b.high * channels;
    double squared = 0.0;
    for (std::int64_t c = 0; c < channels; ++c) {
      const double difference = of_low[c] / n - of_high[c] / m;
      squared += difference * difference;
    }
    const double contrast = b.strength / static_cast<double>(b.length) + std::sqrt(squared);
    const double size = std::sqrt(std::sqrt(std::sqrt(n * m / (n + m))));
    queue.emplace(contrast * size, b.low, b.high, index);
    around[b.low].push_back(index);
    around[b.high].push_back(index);
  };
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(border.size()); ++i) {
    for (const std::int32_t side : {border[i].low, border[i].high}) {
      perimeter[side] += border[i].length;
      strength[side] += border[i].strength;
    }
    propose(i);
  }

  std::vector<std::int32_t> to(nodes, -1);  // the new node's border with each neighbour
  for (std::int32_t node = regions; node < nodes; ++node) {
    while (parent[std::get<1>(queue.top())] >= 0 || parent[std::get<2>(queue.top())] >= 0) queue.pop();
    const auto [cost, a, b, shared] = queue.top();
    queue.pop();
    parent[a] = parent[b] = node;
    height[node] = std::max(cost, std::max(height[a], height[b]));
    area[node] = area[a] + area[b];
    perimeter[node] = perimeter[a] + perimeter[b] - 2 * border[shared].length;
    strength[node] = strength[a] + strength[b] - 2.0 * border[shared].strength;
    for (std::int64_t c = 0; c < channels; ++c)
      sum[node * channels + c] = sum[a * channels + c] + sum[b * channels + c];
    const std::int32_t first = static_cast<std::int32_t>(border.size());
    for (const std::int32_t side : {a, b})
      for (const std::int32_t index : around[side]) {
        const Border old = border[index];
        const std::int32_t other = old.low == side ? old.high : old.low;
        if (parent[other] >= 0) continue;
        if (to[other] < first) {
          to[other] = static_cast<std::int32_t>(border.size());
          border.push_back({other, node, old.length, old.strength});
        } else {
          border[to[other]].length += old.length;
          border[to[other]].strength += old.strength;
        }
      }
    for (std::int32_t i = first; i < static_cast<std::int32_t>(border.size()); ++i) propose(i);
    around[a] = around[b] = {};
  }
}

ESAM_KERNEL(region_tree);

}  // namespace esam
