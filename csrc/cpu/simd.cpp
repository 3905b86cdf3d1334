#include "cpu/simd.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define ESAM_X86 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define ESAM_NEON 1
#include <arm_neon.h>
#endif

namespace esam {
namespace {

std::int64_t and_count_portable(const std::uint64_t* a, const std::uint64_t* b, std::size_t n) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += std::popcount(a[i] & b[i]);
  return sum;
}

template <auto AndCount>
void and_count_tile(const std::uint64_t* a, const std::uint64_t* b, std::size_t stride, std::size_t n,
                    std::int64_t* out) {
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) out[4 * i + j] = AndCount(a + i * stride, b + j * stride, n);
}

// Blocks of 4 rows x `columns` columns of a panel: each lane is a column, so nothing is summed across lanes.
template <auto Block, int columns>
void dot_panel(const std::int16_t* a, std::size_t stride, const std::int16_t* panel, std::size_t pairs,
               std::int32_t* out) {
  for (int j = 0; j < panel_columns; j += columns) Block(a, stride, panel + 2 * j, pairs, out + j);
}

void dot_block_portable(const std::int16_t* a, std::size_t stride, const std::int16_t* panel, std::size_t pairs,
                        std::int32_t* out) {
  for (int i = 0; i < 4; ++i) {
    std::int32_t sum[16] = {};
    for (std::size_t p = 0; p < pairs; ++p)
      for (int j = 0; j < 16; ++j)
        for (int half = 0; half < 2; ++half)
          sum[j] += static_cast<std::int32_t>(a[i * stride + 2 * p + half]) * panel[2 * (panel_columns * p + j) + half];
    for (int j = 0; j < 16; ++j) out[i * panel_columns + j] = sum[j];
  }
}

Above above_portable(const float* v, int n, float offset, std::uint64_t* bits) {
  std::fill(bits, bits + (n + 63) / 64, 0);
  Above counts{};
  for (int i = 0; i < n; ++i) {
    bits[i / 64] |= static_cast<std::uint64_t>(v[i] > 0.0f) << (i % 64);
    counts.low += v[i] > -offset;
    counts.high += v[i] > offset;
  }
  return counts;
}

void blend_portable(const float* left, const float* right, float t, int n, float* out) {
  const float s = 1.0f - t;
  for (int i = 0; i < n; ++i) out[i] = left[i] * s + right[i] * t;
}

#ifdef ESAM_X86
__attribute__((target("avx2"))) inline __m256i count_bytes(__m256i v) {
  const __m256i table =
      _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i lo = _mm256_shuffle_epi8(table, _mm256_and_si256(v, low));
  const __m256i hi = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), low));
  return _mm256_sad_epu8(_mm256_add_epi8(lo, hi), _mm256_setzero_si256());
}

__attribute__((target("avx2,popcnt"))) std::int64_t and_count_avx2(const std::uint64_t* a, const std::uint64_t* b,
                                                                   std::size_t n) {
  __m256i sum = _mm256_setzero_si256();
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const __m256i both = _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i)),
                                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + i)));
    sum = _mm256_add_epi64(sum, count_bytes(both));
  }
  std::int64_t total = _mm256_extract_epi64(sum, 0) + _mm256_extract_epi64(sum, 1) + _mm256_extract_epi64(sum, 2) +
                       _mm256_extract_epi64(sum, 3);
  for (; i < n; ++i) total += __builtin_popcountll(a[i] & b[i]);
  return total;
}

inline std::int32_t pair_at(const std::int16_t* at) {
  std::int32_t pair;
  std::memcpy(&pair, at, sizeof pair);
  return pair;
}

__attribute__((target("avx2"))) void dot_block_avx2(const std::int16_t* a, std::size_t stride,
                                                    const std::int16_t* panel, std::size_t pairs, std::int32_t* out) {
  __m256i sum[4][2] = {};
  for (std::size_t p = 0; p < pairs; ++p) {
    const __m256i* columns = reinterpret_cast<const __m256i*>(panel + 2 * panel_columns * p);
    const __m256i left = _mm256_loadu_si256(columns), right = _mm256_loadu_si256(columns + 1);
    for (int i = 0; i < 4; ++i) {
      const __m256i row = _mm256_set1_epi32(pair_at(a + i * stride + 2 * p));
      sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(row, left));
      sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(row, right));
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < 8; ++k)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k / 2 * panel_columns) + k % 2, sum[k / 2][k % 2]);
}

__attribute__((target("avx2,popcnt"))) Above above_avx2(const float* v, int n, float offset, std::uint64_t* bits) {
  const __m256 zero = _mm256_setzero_ps(), low = _mm256_set1_ps(-offset), high = _mm256_set1_ps(offset);
  Above counts{};
  int i = 0;
  for (std::uint64_t word; i + 64 <= n; i += 64, *bits++ = word) {
    word = 0;
    for (int at = 0; at < 64; at += 8) {
      const __m256 values = _mm256_loadu_ps(v + i + at);
      word |= static_cast<std::uint64_t>(_mm256_movemask_ps(_mm256_cmp_ps(values, zero, _CMP_GT_OQ))) << at;
      counts.low += __builtin_popcount(_mm256_movemask_ps(_mm256_cmp_ps(values, low, _CMP_GT_OQ)));
      counts.high += __builtin_popcount(_mm256_movemask_ps(_mm256_cmp_ps(values, high, _CMP_GT_OQ)));
    }
  }
  const Above rest = above_portable(v + i, n - i, offset, bits);
  return {counts.low + rest.low, counts.high + rest.high};
}

__attribute__((target("avx2"))) void blend_avx2(const float* left, const float* right, float t, int n, float* out) {
  const float s = 1.0f - t;
  for (int i = 0; i < n; ++i) out[i] = left[i] * s + right[i] * t;
}

#define ESAM_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq"

__attribute__((target(ESAM_AVX512))) std::int64_t and_count_avx512(const std::uint64_t* a, const std::uint64_t* b,
                                                                   std::size_t n) {
  __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0;
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    sum0 = _mm512_add_epi64(
        sum0, _mm512_popcnt_epi64(_mm512_and_si512(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i))));
    sum1 = _mm512_add_epi64(
        sum1, _mm512_popcnt_epi64(_mm512_and_si512(_mm512_loadu_si512(a + i + 8), _mm512_loadu_si512(b + i + 8))));
  }
  for (; i < n; i += 8) {
    const __mmask8 tail = n - i >= 8 ? 0xff : static_cast<__mmask8>((1u << (n - i)) - 1);
    sum0 = _mm512_add_epi64(sum0, _mm512_popcnt_epi64(_mm512_and_si512(_mm512_maskz_loadu_epi64(tail, a + i),
                                                                       _mm512_maskz_loadu_epi64(tail, b + i))));
  }
  return _mm512_reduce_add_epi64(_mm512_add_epi64(sum0, sum1));
}

__attribute__((target(ESAM_AVX512))) void and_count_tile_avx512(const std::uint64_t* a, const std::uint64_t* b,
                                                                std::size_t stride, std::size_t n, std::int64_t* out) {
  __m512i sum[16];
  for (__m512i& each : sum) each = _mm512_setzero_si512();
  for (std::size_t word = 0; word < n; word += 8) {
    const __mmask8 live = n - word >= 8 ? 0xff : static_cast<__mmask8>((1u << (n - word)) - 1);
    __m512i row[4];
    for (int i = 0; i < 4; ++i) row[i] = _mm512_maskz_loadu_epi64(live, a + i * stride + word);
    for (int j = 0; j < 4; ++j) {
      const __m512i column = _mm512_maskz_loadu_epi64(live, b + j * stride + word);
      for (int i = 0; i < 4; ++i)
        sum[4 * i + j] = _mm512_add_epi64(sum[4 * i + j], _mm512_popcnt_epi64(_mm512_and_si512(row[i], column)));
    }
  }
#pragma GCC unroll 16  // else the sums live in memory
  for (int k = 0; k < 16; ++k) out[k] = _mm512_reduce_add_epi64(sum[k]);
}

__attribute__((target(ESAM_AVX512))) void dot_block_avx512(const std::int16_t* a, std::size_t stride,
                                                           const std::int16_t* panel, std::size_t pairs,
                                                           std::int32_t* out) {
  __m512i sum[4][4] = {};
  for (std::size_t p = 0; p < pairs; ++p) {
    __m512i row[4];
    for (int i = 0; i < 4; ++i) row[i] = _mm512_set1_epi32(pair_at(a + i * stride + 2 * p));
    for (int j = 0; j < 4; ++j) {
      const __m512i columns = _mm512_loadu_si512(panel + 2 * (panel_columns * p + 16 * j));
      for (int i = 0; i < 4; ++i) sum[i][j] = _mm512_dpwssd_epi32(sum[i][j], row[i], columns);
    }
  }
#pragma GCC unroll 16
  for (int k = 0; k < 16; ++k) _mm512_storeu_si512(out + k / 4 * panel_columns + 16 * (k % 4), sum[k / 4][k % 4]);
}

__attribute__((target(ESAM_AVX512))) Above above_avx512(const float* v, int n, float offset, std::uint64_t* bits) {
  const __m512 zero = _mm512_setzero_ps(), low = _mm512_set1_ps(-offset), high = _mm512_set1_ps(offset);
  const __m512i one = _mm512_set1_epi32(1);
  __m512i exceed_low = _mm512_setzero_si512(), exceed_high = exceed_low;
  if (n % 64) bits[n / 64] = 0;
  for (int i = 0; i < n; i += 16) {
    const __mmask16 live = n - i >= 16 ? 0xffff : static_cast<__mmask16>((1u << (n - i)) - 1);
    const __m512 values = _mm512_maskz_loadu_ps(live, v + i);
    const __mmask16 set = _mm512_mask_cmp_ps_mask(live, values, zero, _CMP_GT_OQ);
    std::memcpy(reinterpret_cast<char*>(bits) + i / 8, &set, sizeof set);
    const __mmask16 over_low = _mm512_mask_cmp_ps_mask(live, values, low, _CMP_GT_OQ);
    const __mmask16 over_high = _mm512_mask_cmp_ps_mask(live, values, high, _CMP_GT_OQ);
    exceed_low = _mm512_mask_add_epi32(exceed_low, over_low, exceed_low, one);
    exceed_high = _mm512_mask_add_epi32(exceed_high, over_high, exceed_high, one);
  }
  return {_mm512_reduce_add_epi32(exceed_low), _mm512_reduce_add_epi32(exceed_high)};
}

__attribute__((target(ESAM_AVX512))) void blend_avx512(const float* left, const float* right, float t, int n,
                                                       float* out) {
  const float s = 1.0f - t;
  for (int i = 0; i < n; ++i) out[i] = left[i] * s + right[i] * t;
}
#endif

#ifdef ESAM_NEON
std::int64_t and_count_neon(const std::uint64_t* a, const std::uint64_t* b, std::size_t n) {
  uint64x2_t sum = vdupq_n_u64(0);
  std::size_t i = 0;
  for (; i + 2 <= n; i += 2) {
    const uint8x16_t bits = vreinterpretq_u8_u64(vandq_u64(vld1q_u64(a + i), vld1q_u64(b + i)));
    sum = vpadalq_u32(sum, vpaddlq_u16(vpaddlq_u8(vcntq_u8(bits))));
  }
  std::int64_t total = vgetq_lane_u64(sum, 0) + vgetq_lane_u64(sum, 1);
  for (; i < n; ++i) total += std::popcount(a[i] & b[i]);
  return total;
}
#endif

std::vector<Simd> found_variants() {
  std::vector<Simd> found = {{"portable", and_count_portable, and_count_tile<and_count_portable>,
                              dot_panel<dot_block_portable, 16>, above_portable, blend_portable}};
#ifdef ESAM_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"))
    found.push_back({"avx2", and_count_avx2, and_count_tile<and_count_avx2>, dot_panel<dot_block_avx2, 16>, above_avx2,
                     blend_avx2});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
      __builtin_cpu_supports("avx512vpopcntdq"))
    found.push_back({"avx512", and_count_avx512, and_count_tile_avx512, dot_panel<dot_block_avx512, 64>, above_avx512,
                     blend_avx512});
#endif
#ifdef ESAM_NEON
  found.push_back({"neon", and_count_neon, and_count_tile<and_count_neon>, dot_panel<dot_block_portable, 16>,
                   above_portable, blend_portable});
#endif
  return found;
}

const Simd*& chosen() {
  static const Simd* current = &simd_variants().back();
  return current;
}

}  // namespace

const std::vector<Simd>& simd_variants() {
  static const std::vector<Simd> variants = found_variants();
  return variants;
}

const Simd& simd() { return *chosen(); }

bool choose_simd(const std::string& name) {
  for (const Simd& variant : simd_variants())
    if (name == variant.name) {
      chosen() = &variant;
      return true;
    }
  return false;
}

}  // namespace esam
