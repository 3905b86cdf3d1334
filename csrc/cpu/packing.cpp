// Logits to bits in one pass, with area, box and stability; areas and boxes of masks already packed.
#include <algorithm>
#include <bit>
#include <vector>

#include "common/kernel.hpp"
#include "common/rules.hpp"
#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"

namespace esam {
namespace {

// Grows a box and an area by 64-bit pieces of rows.
struct Extent {
  int x0 = 1 << 30, y0 = 1 << 30, x1 = 0, y1 = 0;
  std::int64_t area = 0;

  void add(std::uint64_t bits, int x, int y) {
    if (!bits) return;
    area += std::popcount(bits);
    x0 = std::min(x0, x + std::countr_zero(bits));
    x1 = std::max(x1, x + 64 - std::countl_zero(bits));
    y0 = std::min(y0, y);
    y1 = std::max(y1, y + 1);
  }
  void store(std::int64_t* area_out, std::int32_t* box) const {
    *area_out = area;
    box[0] = area ? x0 : 0, box[1] = area ? y0 : 0, box[2] = x1, box[3] = y1;
  }
};

// 64 bits starting at any bit of a mask.
std::uint64_t bits_at(const std::uint64_t* words, std::size_t bit, std::size_t stride) {
  const std::size_t word = bit / 64, shift = bit % 64;
  std::uint64_t bits = words[word] >> shift;
  if (shift && word + 1 < stride) bits |= words[word + 1] << (64 - shift);
  return bits;
}

// The extent of a mask whose rows are whole words, `row` of them; columns [row] is overwritten.
Extent whole_words(const std::uint64_t* words, int h, int row, std::uint64_t* columns) {
  Extent extent;
  extent.area = simd().and_count(words, words, static_cast<std::size_t>(h) * row);
  std::fill_n(columns, row, 0);
  for (int y = 0; y < h; ++y, words += row) {
    std::uint64_t any = 0;
    for (int k = 0; k < row; ++k) columns[k] |= words[k], any |= words[k];
    if (any) extent.y0 = std::min(extent.y0, y), extent.y1 = y + 1;
  }
  for (int k = 0; k < row; ++k)
    if (columns[k]) {
      extent.x0 = std::min(extent.x0, 64 * k + std::countr_zero(columns[k]));
      extent.x1 = 64 * (k + 1) - std::countl_zero(columns[k]);
    }
  return extent;
}

std::uint64_t low_bits(int n) { return n >= 64 ? ~0ull : (1ull << n) - 1; }

}  // namespace

// logits [n, h, w], of which rows x cols are content; words [n, stride], area, stability [n], box [n, 4]
void pack_logits(Array<const float, 3> logits, int rows, int cols, float offset, std::uint64_t* words,
                 std::int64_t* area, std::int32_t* box, float* stability) {
  const std::int64_t n = logits.shape[0], w = logits.shape[2];
  const std::size_t pixels = logits.shape[1] * w, stride = (pixels + 63) / 64;
  parallel_for(n, worth(0.3 * pixels), [&](std::int64_t first, std::int64_t last) {
    const auto above = simd().above;
    std::vector<std::uint64_t> row((cols + 63) / 64);
    for (std::int64_t i = first; i < last; ++i) {
      std::uint64_t* out = words + i * stride;
      std::fill(out, out + stride, 0);
      Extent extent;
      std::int64_t high = 0, low = 0;
      for (int y = 0; y < rows; ++y) {
        const std::size_t start = static_cast<std::size_t>(y) * w;
        const Above exceed = above(logits.data + i * pixels + start, cols, offset, row.data());
        low += exceed.low, high += exceed.high;
        for (int x = 0; x < cols; x += 64) {
          const std::uint64_t bits = row[x / 64];
          if (!bits) continue;
          extent.add(bits, x, y);
          const std::size_t bit = start + x, shift = bit % 64;
          out[bit / 64] |= bits << shift;
          if (shift && bits >> (64 - shift)) out[bit / 64 + 1] |= bits >> (64 - shift);
        }
      }
      extent.store(area + i, box + 4 * i);
      stability[i] = static_cast<float>(share(high, low));
    }
  });
}

// masks [n, stride], area [n], box [n, 4]
void measure(Array<const std::uint64_t, 2> masks, int h, int w, std::int64_t* area, std::int32_t* box) {
  const std::uint64_t* words = masks.data;
  const std::int64_t n = masks.shape[0];
  const std::size_t stride = (static_cast<std::size_t>(h) * w + 63) / 64;
  parallel_for(n, worth(0.03 * h * w), [&](std::int64_t first, std::int64_t last) {
    std::vector<std::uint64_t> columns(w % 64 ? 0 : w / 64);
    for (std::int64_t i = first; i < last; ++i) {
      Extent extent;
      if (w % 64 == 0)
        extent = whole_words(words + i * stride, h, w / 64, columns.data());
      else
        for (int y = 0; y < h; ++y)
          for (int x = 0; x < w; x += 64)
            extent.add(bits_at(words + i * stride, static_cast<std::size_t>(y) * w + x, stride) & low_bits(w - x), x,
                       y);
      extent.store(area + i, box + 4 * i);
    }
  });
}

ESAM_KERNEL(pack_logits);
ESAM_KERNEL(measure);

}  // namespace esam
