// What every CUDA file needs: checked launches, and what a warp does together. Launches go through the runtime's C
// function, so that the same source also runs on a CPU in the tests.
#pragma once
#include <array>
#include <tuple>

#include "common/rules.hpp"
#include "cuda/context.hpp"

namespace esam::cuda {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), std::int64_t blocks, int threads, const Context& context,
            A... arguments) {
  if (blocks <= 0) return;
  std::tuple<P...> values(static_cast<P>(arguments)...);
  auto pointers = std::apply([](auto&... value) { return std::array<void*, sizeof...(P)>{&value...}; }, values);
  check(cudaLaunchKernel(kernel, dim3(static_cast<unsigned>(blocks)), dim3(static_cast<unsigned>(threads)),
                         pointers.data(), 0, context.stream),
        name);
}

ESAM_HD constexpr std::int64_t tiles(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

constexpr unsigned full = 0xffffffffu;  // every lane takes part

template <class T>
__device__ T warp_sum(T value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(full, value, step);
  return value;
}

// Common pixels in words [first, last) of two masks, counted by a warp; every lane gets the sum.
__device__ inline int warp_intersection(const std::uint64_t* a, const std::uint64_t* b, std::size_t first,
                                        std::size_t last) {
  int count = 0;
  for (std::size_t word = first + threadIdx.x % 32; word < last; word += 32) count += __popcll(a[word] & b[word]);
  return warp_sum(count);
}

}  // namespace esam::cuda
