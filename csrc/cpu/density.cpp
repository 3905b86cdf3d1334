// Mean of a plane over each mask: the density of a mask (Eq. 3).
#include <bit>

#include "common/kernel.hpp"
#include "common/rules.hpp"
#include "cpu/parallel.hpp"

namespace esam {

// plane [h * w], out [n]
void mask_mean(const Masks& masks, const double* plane, double* out) {
  parallel_for(masks.n, worth(0.03 * masks.h * masks.w), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const CommonWords own = own_words(masks, i);
      double sum = 0.0;  // in pixel order, on every backend
      for (std::size_t word = own.first; word < own.last; ++word)
        for (std::uint64_t bits = masks.mask(i)[word]; bits; bits &= bits - 1)
          sum += plane[word * 64 + std::countr_zero(bits)];
      out[i] = masks.area[i] == 0 ? 0.0 : sum / static_cast<double>(masks.area[i]);
    }
  });
}

ESAM_KERNEL(mask_mean);

}  // namespace esam
