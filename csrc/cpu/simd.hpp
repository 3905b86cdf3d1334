// The inner loops that profit from wide registers, chosen once at load time from what the processor has.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace esam {

constexpr int panel_columns = 64;  // of `dot_panel`

// How many values exceed -offset, and offset.
struct Above {
  std::int64_t low, high;
};

struct Simd {
  const char* name;
  // Number of bits set in a[i] & b[i], i < n.
  std::int64_t (*and_count)(const std::uint64_t* a, const std::uint64_t* b, std::size_t n);
  // The same for each of four masks a + i * stride with each of four masks b + j * stride, so that words are read
  // less often: out[4 * i + j].
  void (*and_count_tile)(const std::uint64_t* a, const std::uint64_t* b, std::size_t stride, std::size_t n,
                         std::int64_t* out);
  // Dot products of four rows a + i * stride of `pairs` pairs with a panel of columns [pairs, panel_columns, 2]:
  // out[4, panel_columns]; exact: the caller keeps them, and every part of a sum, within int32.
  void (*dot_panel)(const std::int16_t* a, std::size_t stride, const std::int16_t* panel, std::size_t pairs,
                    std::int32_t* out);
  // Bit i % 64 of bits[i / 64] = v[i] > 0, i < n, the rest of the last word 0; and v against -offset and offset.
  Above (*above)(const float* v, int n, float offset, std::uint64_t* bits);
  // out[i] = blend(left[i], right[i], t) of common/rules.hpp, i < n.
  void (*blend)(const float* left, const float* right, float t, int n, float* out);
};

// The variants that this processor runs, portable first, fastest last.
const std::vector<Simd>& simd_variants();
const Simd& simd();
// Choose a variant by name (for tests and benchmarks); false if this processor lacks it.
bool choose_simd(const std::string& name);

}  // namespace esam
