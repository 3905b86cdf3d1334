// The inner loops that profit from wide registers, chosen once at load time from what the processor has.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace esam {

struct Simd {
  const char* name;
  // Number of bits set in a[i] & b[i], i < n.
  std::int64_t (*and_count)(const std::uint64_t* a, const std::uint64_t* b, std::size_t n);
  // The same for four masks a + k * stride at once, so that b is read only once: out[k].
  void (*and_count4)(const std::uint64_t* a, std::size_t stride, const std::uint64_t* b, std::size_t n,
                     std::int64_t* out);
  // Sum of a[i] * b[i], i < n; exact: the caller keeps it within int32.
  std::int32_t (*dot)(const std::int16_t* a, const std::int16_t* b, std::size_t n);
  // Bit i of the result = v[i] > threshold, i < n <= 64.
  std::uint64_t (*above)(const float* v, int n, float threshold);
  // out[i] = left[i] * (1 - t) + right[i] * t, i < n, in float32 without fused multiply-add.
  void (*blend)(const float* left, const float* right, float t, int n, float* out);
};

// The variants that this processor runs, portable first, fastest last.
const std::vector<Simd>& simd_variants();
const Simd& simd();
// Choose a variant by name (for tests and benchmarks); false if this processor lacks it.
bool choose_simd(const std::string& name);

}  // namespace esam
