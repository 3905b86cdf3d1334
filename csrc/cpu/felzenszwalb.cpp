// Superpixels by Felzenszwalb and Huttenlocher, IJCV 2004: smoothing, edge weights, one sort, union-find.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "cpu/ops.hpp"
#include "cpu/parallel.hpp"

namespace esam {
namespace {

struct Edge {
  std::uint32_t key;  // the bits of the weight: as weights are not negative, they sort as the weights do
  std::uint32_t id;   // 4 * pixel + direction
};

// Gaussian smoothing, along x and then along y, borders replicated; float32 sums in tap order.
std::vector<float> smooth(const std::uint8_t* image, std::int64_t h, std::int64_t w, const float* kernel,
                          std::int64_t radius) {
  std::vector<float> along_x(h * w * 3, 0.0f), out(h * w * 3, 0.0f);
  parallel_for(h, 16, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> padded((w + 2 * radius) * 3);
    for (std::int64_t y = first; y < last; ++y) {
      for (std::int64_t x = -radius; x < w + radius; ++x)
        for (int c = 0; c < 3; ++c)
          padded[(x + radius) * 3 + c] = image[(y * w + std::clamp<std::int64_t>(x, 0, w - 1)) * 3 + c];
      float* row = along_x.data() + y * w * 3;
      for (std::int64_t t = 0; t <= 2 * radius; ++t)
        for (std::int64_t i = 0; i < w * 3; ++i) row[i] += kernel[t] * padded[i + 3 * t];
    }
  });
  parallel_for(h, 16, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t y = first; y < last; ++y) {
      float* row = out.data() + y * w * 3;
      for (std::int64_t t = 0; t <= 2 * radius; ++t) {
        const float* source = along_x.data() + std::clamp<std::int64_t>(y + t - radius, 0, h - 1) * w * 3;
        for (std::int64_t i = 0; i < w * 3; ++i) row[i] += kernel[t] * source[i];
      }
    }
  });
  return out;
}

// right, down, down-right, down-left
constexpr std::array<int, 4> dy = {0, 1, 1, 1}, dx = {1, 0, 1, -1};

std::int64_t edges_above(std::int64_t y, std::int64_t h, std::int64_t w) {  // edges of all rows before y
  return std::min(y, h - 1) * (4 * w - 3) + (y == h ? w - 1 : 0);
}

std::vector<Edge> weigh(const std::vector<float>& smoothed, std::int64_t h, std::int64_t w) {
  std::vector<Edge> edges(edges_above(h, h, w));
  parallel_for(h, 16, [&](std::int64_t first, std::int64_t last) {
    Edge* out = edges.data() + edges_above(first, h, w);
    for (std::int64_t y = first; y < last; ++y)
      for (std::int64_t x = 0; x < w; ++x)
        for (int d = 0; d < 4; ++d) {
          const std::int64_t ny = y + dy[d], nx = x + dx[d];
          if (ny >= h || nx < 0 || nx >= w) continue;
          const float* a = smoothed.data() + (y * w + x) * 3;
          const float* b = smoothed.data() + (ny * w + nx) * 3;
          const float dr = a[0] - b[0], dg = a[1] - b[1], db = a[2] - b[2];
          const float weight = std::sqrt(dr * dr + dg * dg + db * db);
          *out++ = {std::bit_cast<std::uint32_t>(weight), static_cast<std::uint32_t>(4 * (y * w + x) + d)};
        }
  });
  return edges;
}

// Stable radix sort by key, three passes of eleven bits; edges come in order of id, so ties stay so.
void sort_edges(std::vector<Edge>& edges) {
  std::vector<Edge> other(edges.size());
  std::array<std::array<std::size_t, 2048>, 3> start{};
  for (const Edge& e : edges) ++start[0][e.key & 2047], ++start[1][e.key >> 11 & 2047], ++start[2][e.key >> 22];
  for (int pass = 0; pass < 3; ++pass) {
    std::exclusive_scan(start[pass].begin(), start[pass].end(), start[pass].begin(), std::size_t{0});
    const int shift = 11 * pass;
    for (const Edge& e : edges) other[start[pass][e.key >> shift & 2047]++] = e;
    edges.swap(other);
  }
}

struct Forest {
  std::vector<std::int32_t> parent, size;
  std::vector<float> inner;  // Int: the largest edge inside the segment

  explicit Forest(std::int64_t n) : parent(n), size(n, 1), inner(n, 0.0f) {
    std::iota(parent.begin(), parent.end(), 0);
  }
  std::int32_t find(std::int32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  }
  void unite(std::int32_t a, std::int32_t b, float weight) {
    if (size[a] < size[b]) std::swap(a, b);
    parent[b] = a;
    size[a] += size[b];
    inner[a] = weight;
  }
};

}  // namespace

std::int32_t felzenszwalb(const std::uint8_t* image, std::int64_t h, std::int64_t w, float scale, const float* kernel,
                          std::int64_t radius, std::int64_t min_size, std::int32_t* labels) {
  std::vector<Edge> edges = weigh(smooth(image, h, w, kernel, radius), h, w);
  sort_edges(edges);
  Forest forest(h * w);
  const auto ends = [&](const Edge& e) {
    const std::int32_t pixel = static_cast<std::int32_t>(e.id / 4), d = static_cast<std::int32_t>(e.id % 4);
    return std::pair{forest.find(pixel), forest.find(static_cast<std::int32_t>(pixel + dy[d] * w + dx[d]))};
  };
  for (const Edge& e : edges) {
    const auto [a, b] = ends(e);
    if (a == b) continue;
    const float weight = std::bit_cast<float>(e.key);
    if (weight <= forest.inner[a] + scale / static_cast<float>(forest.size[a]) &&
        weight <= forest.inner[b] + scale / static_cast<float>(forest.size[b]))
      forest.unite(a, b, weight);
  }
  for (const Edge& e : edges) {
    const auto [a, b] = ends(e);
    if (a != b && (forest.size[a] < min_size || forest.size[b] < min_size))
      forest.unite(a, b, std::bit_cast<float>(e.key));
  }
  std::vector<std::int32_t> name(h * w, -1);
  std::int32_t segments = 0;
  for (std::int64_t i = 0; i < h * w; ++i) {
    std::int32_t& known = name[forest.find(static_cast<std::int32_t>(i))];
    if (known < 0) known = segments++;
    labels[i] = known;
  }
  return segments;
}

}  // namespace esam
