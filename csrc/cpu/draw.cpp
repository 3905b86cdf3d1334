// Entities at full resolution: each pixel goes to the plane with the largest positive bilinear sample.
#include <algorithm>
#include <cmath>
#include <vector>

#include "common/kernel.hpp"
#include "common/rules.hpp"
#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"

namespace esam {
namespace {

// Where image pixel centres fall between grid pixel centres, content only.
struct Axis {
  std::vector<int> low, high;
  std::vector<float> t;

  Axis(std::int64_t image, double content, int count) : low(image), high(image), t(image) {
    for (std::int64_t i = 0; i < image; ++i) {
      const Tap at = tap(i, image, content, count);
      low[i] = at.low, high[i] = at.high, t[i] = at.t;
    }
  }
  // Image pixels [first, last) that have a neighbour among grid pixels [from, to).
  std::pair<std::int64_t, std::int64_t> reach(int from, int to) const {
    const auto first = std::lower_bound(high.begin(), high.end(), from);
    const auto last = std::lower_bound(low.begin(), low.end(), to);
    return {first - high.begin(), last - low.begin()};
  }
};

}  // namespace

// planes [n, h, w], box [n, 4], labels [image_h, image_w]
void draw_labels(Array<const float, 3> planes, const std::int32_t* box, int rows, int cols, double content_h,
                 double content_w, Array<std::int32_t, 2> labels) {
  const std::int64_t n = planes.shape[0], plane_size = planes.shape[1] * planes.shape[2];
  const int w = static_cast<int>(planes.shape[2]);
  const std::int64_t image_h = labels.shape[0], image_w = labels.shape[1];
  const Axis ys(image_h, content_h, rows), xs(image_w, content_w, cols);
  struct Span {
    std::int64_t y0, y1, x0, x1;
  };
  std::vector<Span> spans(n);
  for (std::int64_t k = 0; k < n; ++k) {
    const std::int32_t* b = box + 4 * k;
    if (b[2] <= b[0]) continue;
    const auto [y0, y1] = ys.reach(b[1], b[3]);
    const auto [x0, x1] = xs.reach(b[0], b[2]);
    spans[k] = {y0, y1, x0, x1};
  }
  parallel_for(image_h, std::max<std::int64_t>(8, worth(10.0 * image_w)), [&](std::int64_t first, std::int64_t last) {
    std::vector<float> best(image_w), row(w);
    std::vector<std::int64_t> live;
    for (std::int64_t k = 0; k < n; ++k)
      if (spans[k].y0 < last && spans[k].y1 > first) live.push_back(k);
    for (std::int64_t y = first; y < last; ++y) {
      std::int32_t* label = labels.data + y * image_w;
      std::fill(label, label + image_w, 0);
      std::fill(best.begin(), best.end(), 0.0f);
      for (const std::int64_t k : live) {
        const Span& span = spans[k];
        if (y < span.y0 || y >= span.y1 || span.x0 >= span.x1) continue;
        const float* plane = planes.data + k * plane_size;
        const int from = xs.low[span.x0], to = xs.high[span.x1 - 1] + 1;
        simd().blend(plane + static_cast<std::size_t>(ys.low[y]) * w + from,
                     plane + static_cast<std::size_t>(ys.high[y]) * w + from, ys.t[y], to - from, row.data() + from);
        for (std::int64_t x = span.x0; x < span.x1; ++x) {
          const float v = blend(row[xs.low[x]], row[xs.high[x]], xs.t[x]);
          const bool wins = v > best[x];
          best[x] = wins ? v : best[x];
          label[x] = wins ? static_cast<std::int32_t>(k + 1) : label[x];
        }
      }
    }
  });
}

// Of the labels 1..n in a map [h, w]: areas [n] and boxes [n, 4].
void measure_labels(Array<const std::int32_t, 2> labels, Array<std::int64_t, 1> areas, std::int32_t* box) {
  const std::int64_t h = labels.shape[0], w = labels.shape[1], n = areas.shape[0];
  std::int64_t* area = areas.data;
  const auto extend = [&](std::int32_t label, std::int64_t from, std::int64_t to, std::int64_t y) {
    if (label < 1 || label > n) return;
    std::int32_t* b = box + 4 * (label - 1);
    if (area[label - 1] == 0) b[0] = static_cast<std::int32_t>(from), b[1] = static_cast<std::int32_t>(y);
    area[label - 1] += to - from;
    b[0] = std::min(b[0], static_cast<std::int32_t>(from));
    b[2] = std::max(b[2], static_cast<std::int32_t>(to));
    b[3] = static_cast<std::int32_t>(y + 1);
  };
  std::fill(area, area + n, 0);
  std::fill(box, box + 4 * n, 0);
  for (std::int64_t y = 0; y < h; ++y) {
    const std::int32_t* row = labels.data + y * w;
    for (std::int64_t x = 0, from = 0; x < w; from = x) {
      while (x < w && row[x] == row[from]) ++x;
      extend(row[from], from, x, y);
    }
  }
}

ESAM_KERNEL(draw_labels);
ESAM_KERNEL(measure_labels);

}  // namespace esam
