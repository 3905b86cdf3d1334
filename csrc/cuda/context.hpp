// What Python lends a call, and the check of every CUDA return code.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "common/kernel.hpp"

namespace esam::cuda {

inline void check(cudaError_t code, const char* call) {
  if (code != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + call + " failed: " + cudaGetErrorName(code) + ", " +
                             cudaGetErrorString(code));
}

// Python's device, its current stream, and workspace on the device that lives until the call's work is done.
struct Context {
  int device;
  cudaStream_t stream;
  std::function<void*(std::size_t)> allocate;

  template <class T>
  T* workspace(std::int64_t n) const {
    return static_cast<T*>(allocate(static_cast<std::size_t>(n > 0 ? n : 1) * sizeof(T)));
  }
  // A copy on the device of n items.
  template <class T>
  void copy(const T* from, std::int64_t n, T* to) const {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(n) * sizeof(T), cudaMemcpyDeviceToDevice, stream),
          "cudaMemcpyAsync");
  }
};

// Every pointer and array of these is the device's. What they do is asynchronous, in the order of the context's stream;
// one that returns a number waits for it.
using Kernels = Registry<const Context&>;

}  // namespace esam::cuda
