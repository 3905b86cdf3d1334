// Intersection of two packed masks, touching only the words that both boxes reach.
#pragma once
#include "common/rules.hpp"
#include "cpu/simd.hpp"

namespace esam {

inline std::int64_t intersection(const Masks& a, std::int64_t i, const Masks& b, std::int64_t j, const CommonWords& m) {
  return m.most == 0 ? 0 : simd().and_count(a.mask(i) + m.first, b.mask(j) + m.first, m.last - m.first);
}

inline std::int64_t intersection(const Masks& a, std::int64_t i, const Masks& b, std::int64_t j) {
  return intersection(a, i, b, j, common_words(a, i, b, j));
}

}  // namespace esam
