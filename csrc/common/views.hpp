// Arrays and packed masks in memory that Python allocated.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define ESAM_HD __host__ __device__
#else
#define ESAM_HD
#endif

namespace esam {

template <class T, std::size_t axes>
struct Array {
  T* data;  // row-major
  std::array<std::int64_t, axes> shape;
};

struct Masks {
  const std::uint64_t* words;  // [n, stride()], bit i of a mask = pixel i, row-major; pad bits are 0
  const std::int64_t* area;    // [n]
  const std::int32_t* box;     // [n, 4] x0 y0 x1 y1, half-open
  std::int64_t n;
  int h, w;

  ESAM_HD std::size_t stride() const { return (static_cast<std::size_t>(h) * w + 63) / 64; }
  ESAM_HD const std::uint64_t* mask(std::int64_t i) const { return words + i * stride(); }
};

}  // namespace esam
