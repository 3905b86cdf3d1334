// The rules of the algorithm as pure functions, shared by host and device.
#pragma once
#include <cstdint>

#include "common/views.hpp"

namespace esam {

// IoU of integer counts; 0 when the union is 0.
ESAM_HD inline double iou(std::int64_t inter, std::int64_t area_a, std::int64_t area_b) {
  const std::int64_t joined = area_a + area_b - inter;
  return joined == 0 ? 0.0 : static_cast<double>(inter) / static_cast<double>(joined);
}

// part / whole in double; 0 when the whole is 0.
ESAM_HD inline double share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Whether p's score exceeds q's by so much that p gets their overlap without a vote.
ESAM_HD inline bool outranks(float score_p, float score_q, double margin) {
  return static_cast<double>(score_p) - static_cast<double>(score_q) > margin;
}

ESAM_HD inline std::int64_t min64(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// The words in which two masks can have common pixels, and how many common pixels there can be, by boxes and areas.
struct CommonWords {
  std::int64_t most;        // upper bound of the intersection
  std::size_t first, last;  // words [first, last)
};

ESAM_HD inline CommonWords common_words(const std::int32_t* a, std::int64_t area_a, const std::int32_t* b,
                                        std::int64_t area_b, int w) {
  const int x0 = a[0] > b[0] ? a[0] : b[0], y0 = a[1] > b[1] ? a[1] : b[1];
  const int x1 = a[2] < b[2] ? a[2] : b[2], y1 = a[3] < b[3] ? a[3] : b[3];
  if (x0 >= x1 || y0 >= y1) return {0, 0, 0};
  const std::int64_t common = static_cast<std::int64_t>(x1 - x0) * (y1 - y0);
  const std::size_t start = static_cast<std::size_t>(y0) * w + x0;
  const std::size_t end = static_cast<std::size_t>(y1 - 1) * w + x1;
  return {min64(common, min64(area_a, area_b)), start / 64, (end + 63) / 64};
}

ESAM_HD inline CommonWords common_words(const Masks& a, std::int64_t i, const Masks& b, std::int64_t j) {
  return common_words(a.box + 4 * i, a.area[i], b.box + 4 * j, b.area[j], a.w);
}

// The words of a mask's own bits.
ESAM_HD inline CommonWords own_words(const Masks& masks, std::int64_t i) { return common_words(masks, i, masks, i); }

// Whether a guide wins a vote against another: more votes, then higher score, then lower index.
ESAM_HD inline bool wins(std::int64_t votes, float score, std::int64_t index, std::int64_t other_votes,
                         float other_score, std::int64_t other) {
  if (votes != other_votes) return votes > other_votes;
  return score > other_score || (score == other_score && index < other);
}

// Where an image pixel's centre falls between two grid pixel centres, content only: low + t * (high - low).
struct Tap {
  int low, high;
  float t;
};

ESAM_HD inline Tap tap(std::int64_t i, std::int64_t image, double content, int count) {
  const double at = (static_cast<double>(i) + 0.5) * content / static_cast<double>(image) - 0.5;
  const double most = static_cast<double>(count - 1);
  const double g = at < 0.0 ? 0.0 : at > most ? most : at;
  const int low = static_cast<int>(g);
  return {low, low + 1 < count ? low + 1 : count - 1, static_cast<float>(g - low)};
}

// Linear interpolation in float32, in this order of steps on every backend (no fused multiply-add).
ESAM_HD inline float blend(float a, float b, float t) { return a * (1.0f - t) + b * t; }

}  // namespace esam
