// Superpixels by Felzenszwalb and Huttenlocher, IJCV 2004: smoothing, edge weights, one sort, union-find.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "common/kernel.hpp"
#include "cpu/parallel.hpp"

namespace esam {
namespace {

struct Edge {
  std::uint32_t key;  // the bits of the weight: as weights are not negative, they sort as the weights do
  std::uint32_t id;   // 4 * pixel + direction
};

// Gaussian smoothing, along x and then along y, borders replicated; float32 sums in tap order. [h, 3, w]
std::vector<float> smooth(const std::uint8_t* image, std::int64_t h, std::int64_t w, const float* kernel,
                          std::int64_t radius) {
  std::vector<float> along_x(h * w * 3, 0.0f), out(h * w * 3, 0.0f);
  parallel_for(h, worth(5.0 * w), [&](std::int64_t first, std::int64_t last) {
    std::vector<float> padded(w + 2 * radius);
    for (std::int64_t y = first; y < last; ++y)
      for (int c = 0; c < 3; ++c) {
        for (std::int64_t x = -radius; x < w + radius; ++x)
          padded[x + radius] = image[(y * w + std::clamp<std::int64_t>(x, 0, w - 1)) * 3 + c];
        float* row = along_x.data() + (y * 3 + c) * w;
        for (std::int64_t t = 0; t <= 2 * radius; ++t)
          for (std::int64_t x = 0; x < w; ++x) row[x] += kernel[t] * padded[x + t];
      }
  });
  parallel_for(h, worth(5.0 * w), [&](std::int64_t first, std::int64_t last) {
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

// The edges of the pixels of a row, by ascending id: emit(edge).
template <class Emit>
void for_edges(const std::vector<float>& smoothed, std::int64_t h, std::int64_t w, std::int64_t y,
               std::vector<float>& weights, const Emit& emit) {
  const auto distances = [&](const float* a, const float* b, std::int64_t n, float* out) {
    for (std::int64_t x = 0; x < n; ++x) {
      const float dr = a[x] - b[x], dg = a[w + x] - b[w + x], db = a[2 * w + x] - b[2 * w + x];
      out[x] = std::sqrt(dr * dr + dg * dg + db * db);
    }
  };
  weights.assign(4 * w, -1.0f);  // no edge
  const float *row = smoothed.data() + y * w * 3, *below = row + w * 3;
  distances(row, row + 1, w - 1, weights.data());
  if (y + 1 < h) {
    distances(row, below, w, weights.data() + w);
    distances(row, below + 1, w - 1, weights.data() + 2 * w);
    distances(row + 1, below, w - 1, weights.data() + 3 * w + 1);
  }
  for (std::int64_t x = 0; x < w; ++x)
    for (int d = 0; d < 4; ++d)
      if (const float weight = weights[d * w + x]; weight >= 0.0f)
        emit(Edge{std::bit_cast<std::uint32_t>(weight), static_cast<std::uint32_t>(4 * (y * w + x) + d)});
}

// Stable sort of n edges by nine bits of their keys.
void sort_by(const Edge* edges, std::size_t n, int shift, Edge* out) {
  std::array<std::uint32_t, 512> start{};
  for (std::size_t i = 0; i < n; ++i) ++start[edges[i].key >> shift & 511];
  std::exclusive_scan(start.begin(), start.end(), start.begin(), 0u);
  for (std::size_t i = 0; i < n; ++i) out[start[edges[i].key >> shift & 511]++] = edges[i];
}

// All edges by key, ties by id. They go straight to buckets by the upper bits of the key, each then sorted in cache.
std::vector<Edge> sorted_edges(const std::vector<float>& smoothed, std::int64_t h, std::int64_t w) {
  constexpr int shift = 18, buckets = 1 << 13;  // weights are not negative: 31 bits
  const std::int64_t parts = std::min<std::int64_t>(num_threads(), h / worth(20.0 * w) + 1);
  const std::int64_t rows = (h + parts - 1) / parts;
  std::vector<std::uint32_t> start(parts * buckets, 0);  // by part, so that ids stay in order
  const auto for_part = [&](std::int64_t part, const auto& emit) {
    std::vector<float> weights;
    for (std::int64_t y = part * rows; y < std::min(h, (part + 1) * rows); ++y)
      for_edges(smoothed, h, w, y, weights, emit);
  };
  parallel_for(parts, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t part = first; part < last; ++part)
      for_part(part, [count = start.data() + part * buckets](const Edge& e) { ++count[e.key >> shift]; });
  });
  std::vector<std::uint32_t> bound(buckets + 1);
  std::uint32_t total = 0;
  for (int b = 0; b < buckets; ++b) {
    bound[b] = total;
    for (std::int64_t part = 0; part < parts; ++part) total += std::exchange(start[part * buckets + b], total);
  }
  bound[buckets] = total;
  std::vector<Edge> edges(total);
  parallel_for(parts, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t part = first; part < last; ++part)
      for_part(part, [&, next = start.data() + part * buckets](const Edge& e) { edges[next[e.key >> shift]++] = e; });
  });
  parallel_for(buckets, total < 1 << 14 ? buckets : 16, [&](std::int64_t first, std::int64_t last) {
    std::vector<Edge> other;
    for (std::int64_t b = first; b < last; ++b) {
      const std::size_t at = bound[b], n = bound[b + 1] - bound[b];
      if (n < 2) continue;
      other.resize(std::max(other.size(), n));
      sort_by(edges.data() + at, n, 0, other.data());
      sort_by(other.data(), n, 9, edges.data() + at);
    }
  });
  return edges;
}

struct Forest {
  std::vector<std::int32_t> parent;  // of a root: minus its size

  explicit Forest(std::int64_t n) : parent(n, -1) {}
  std::int32_t find(std::int32_t i) {
    for (std::int32_t up; (up = parent[i]) >= 0;) {
      const std::int32_t over = parent[up];
      if (over < 0) return up;
      i = parent[i] = over;
    }
    return i;
  }
  std::int32_t size(std::int32_t root) const { return -parent[root]; }
  std::int32_t unite(std::int32_t a, std::int32_t b) {
    if (size(a) < size(b)) std::swap(a, b);
    parent[a] += parent[b];
    parent[b] = a;
    return a;
  }
};

void prefetch([[maybe_unused]] const void* at) {
#if defined(__GNUC__)
  __builtin_prefetch(at);
#endif
}

}  // namespace

// image [h, w, 3], kernel [2 * radius + 1], labels [h, w]. Returns the number of segments.
std::int32_t felzenszwalb(Array<const std::uint8_t, 3> image, float scale, Array<const float, 1> kernel,
                          std::int64_t min_size, std::int32_t* labels) {
  const std::int64_t h = image.shape[0], w = image.shape[1], radius = kernel.shape[0] / 2;
  std::vector<Edge> edges = sorted_edges(smooth(image.data, h, w, kernel.data, radius), h, w);
  Forest forest(h * w);
  std::vector<float> limit(h * w, scale);  // Int + scale / size, at roots; Int: the largest edge inside a segment
  const auto pixels = [&](const Edge& e) {
    const std::int32_t pixel = static_cast<std::int32_t>(e.id / 4), d = static_cast<std::int32_t>(e.id % 4);
    return std::pair{pixel, static_cast<std::int32_t>(pixel + dy[d] * w + dx[d])};
  };
  constexpr std::size_t ahead = 16;
  std::size_t between = 0;  // edges that still join two segments come to the front
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const auto [later_p, later_q] = pixels(edges[std::min(i + ahead, edges.size() - 1)]);
    prefetch(&forest.parent[later_p]);
    prefetch(&forest.parent[later_q]);
    const auto [p, q] = pixels(edges[i]);
    const std::int32_t a = forest.find(p), b = forest.find(q);
    if (a == b) continue;
    const float weight = std::bit_cast<float>(edges[i].key);
    if (weight <= limit[a] && weight <= limit[b]) {
      const std::int32_t root = forest.unite(a, b);
      limit[root] = weight + scale / static_cast<float>(forest.size(root));
    } else {
      edges[between++] = edges[i];
    }
  }
  for (std::size_t i = 0; i < between; ++i) {
    const auto [p, q] = pixels(edges[i]);
    const std::int32_t a = forest.find(p), b = forest.find(q);
    if (a != b && (forest.size(a) < min_size || forest.size(b) < min_size)) forest.unite(a, b);
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

ESAM_KERNEL(felzenszwalb);

}  // namespace esam
