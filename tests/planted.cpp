// Kernels with a chosen fault, built into the module for tests/sanitize.py to check that a sanitizer finds it.
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "common/kernel.hpp"
#include "cpu/parallel.hpp"

namespace esam {

// The sum of n ones, a chunk each: without a lock.
std::int64_t planted_race(std::int64_t n) {
  std::int64_t sum = 0;
  parallel_for(n, 1, [&](std::int64_t first, std::int64_t last) { sum += last - first; });
  return sum;
}

// One item beyond the end.
std::int64_t planted_beyond(Array<const std::int64_t, 1> values) { return values.data[values.shape[0]]; }

// A shift by as many bits as there are, or more.
std::int64_t planted_undefined(std::int64_t bits) { return std::int64_t{1} << bits; }

// No fault: what a worker throws reaches the caller.
void planted_throw(std::int64_t n) {
  parallel_for(n, 1, [&](std::int64_t first, std::int64_t) {
    if (first == n / 2) throw std::invalid_argument("planted");
  });
}

ESAM_KERNEL(planted_race);
ESAM_KERNEL(planted_beyond);
ESAM_KERNEL(planted_undefined);
ESAM_KERNEL(planted_throw);

}  // namespace esam
