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

// The words of [from, to) without those at either end that are 0.
std::pair<std::size_t, std::size_t> without_zeros(const std::uint64_t* words, std::size_t from, std::size_t to) {
  const auto any = [words](std::size_t at) {
    std::uint64_t bits = 0;
    for (int k = 0; k < 32; ++k) bits |= words[at + k];
    return bits != 0;
  };
  while (to - from >= 32 && !any(from)) from += 32;
  while (from < to && !words[from]) ++from;
  while (to - from >= 32 && !any(to - 32)) to -= 32;
  while (from < to && !words[to - 1]) --to;
  return {from, to};
}

// Measures masks of one shape; each word comes from memory once.
class Measurer {
 public:
  Measurer(int h, int w) : w_(w), stride_((static_cast<std::size_t>(h) * w + 63) / 64) {
    while (rows_ > 1 && w_ * rows_ % 128 == 0) rows_ /= 2;
    while (rows_ < h && w_ * rows_ < 64 * 64) rows_ *= 2;  // short loops cost more than their work
    while (rows_ / 2 >= h && rows_ > 1) rows_ /= 2;
    period_ = (w_ * rows_ + 63) / 64;
    laid_.resize(period_ + 2);  // what is shifted is read with the word after it
  }

  void measure(const std::uint64_t* words, std::int64_t* area, std::int32_t* box) {
    const auto [first, end] = without_zeros(words, 0, stride_);
    *area = simd().and_count(words + first, words + first, end - first);
    if (first == end) {
      std::fill_n(box, 4, 0);
      return;
    }
    const std::size_t columns = (w_ + 63) / 64;
    lay_rows_over_each_other(words, first, end);
    const auto [left, right] = without_zeros(laid_.data(), 0, columns);
    box[0] = static_cast<std::int32_t>(64 * left + std::countr_zero(laid_[left]));
    box[1] = static_cast<std::int32_t>((64 * first + std::countr_zero(words[first])) / w_);
    box[2] = static_cast<std::int32_t>(64 * right - std::countl_zero(laid_[right - 1]));
    box[3] = static_cast<std::int32_t>((64 * end - 1 - std::countl_zero(words[end - 1])) / w_ + 1);
  }

 private:
  // The first w bits of laid_: where any row of words [from, to) has a bit.
  void lay_rows_over_each_other(const std::uint64_t* words, std::size_t from, std::size_t to) {
    std::uint64_t* laid = laid_.data();
    std::fill(laid_.begin(), laid_.end(), 0);
    for (std::size_t start = from / period_ * period_; start < to; start += period_)
      for (std::size_t k = 0, n = std::min(period_, to - start); k < n; ++k) laid[k] |= words[start + k];
    for (std::size_t rows = rows_ / 2; rows > 0; rows /= 2) {  // the second half over the first
      const std::size_t half = (rows * w_ + 63) / 64, shift = rows * w_ % 64;
      const std::uint64_t* second = laid + rows * w_ / 64;
      for (std::size_t k = 0; k < half; ++k) laid[k] |= second[k] >> shift | second[k + 1] << 1 << (63 - shift);
    }
    if (w_ % 64) laid[w_ / 64] &= (1ull << w_ % 64) - 1;  // what is above is of other rows
  }

  const std::size_t w_, stride_;
  int rows_ = 64;       // after so many, rows begin at the same bits of words again
  std::size_t period_;  // their words
  std::vector<std::uint64_t> laid_;
};

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
  parallel_for(masks.shape[0], worth(0.01 * h * w), [&](std::int64_t first, std::int64_t last) {
    Measurer measurer(h, w);
    for (std::int64_t i = first; i < last; ++i)
      measurer.measure(masks.data + i * masks.shape[1], area + i, box + 4 * i);
  });
}

ESAM_KERNEL(pack_logits);
ESAM_KERNEL(measure);

}  // namespace esam
