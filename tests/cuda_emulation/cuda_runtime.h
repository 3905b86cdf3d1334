// CUDA on a CPU, for the tests: the kernels' own sources, compiled as plain C++, run thread by thread.
//
// The threads of a block are fibers of one system thread. A fiber runs until it waits at a barrier, or for the other
// lanes of its warp, so that what lies between two waits happens in the order of the threads, or, every other launch, in
// the reverse order: a kernel that forgot to synchronise gives another result in one of them. Waiting for a thread that
// has ended aborts. Only what the kernels use is here; memory of the "device" is the host's.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

using cudaStream_t = struct emulated_stream*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };
enum cudaMemcpyKind { cudaMemcpyDeviceToHost = 2 };

inline const char* cudaGetErrorName(cudaError_t) { return "cudaErrorInvalidConfiguration"; }
inline const char* cudaGetErrorString(cudaError_t) { return "invalid configuration argument"; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, size);
  return cudaSuccess;
}

namespace emulation {

enum class Wait { none, block, warp, ended };

struct Fiber {
  ucontext_t context;
  jmp_buf place;
  std::unique_ptr<char[]> stack;
  bool started = false;
  Wait wait = Wait::none;
  unsigned turn = 0;              // of the warp's joint operations
  unsigned long long given[2];    // what this lane gives to one, and to the next
};

inline std::vector<std::unique_ptr<Fiber>> fibers;
inline std::function<void()> body;
inline jmp_buf scheduler;
inline ucontext_t first_return;
inline unsigned current = 0, launches = 0;

inline void yield(Wait wait) {
  Fiber& fiber = *fibers[current];
  fiber.wait = wait;
  if (!_setjmp(fiber.place)) _longjmp(scheduler, 1);
}

inline void run_fiber() {
  for (;;) {
    body();
    yield(Wait::ended);
  }
}

inline void resume(unsigned thread) {
  constexpr std::size_t stack_size = 64 * 1024;
  Fiber& fiber = *fibers[thread];
  current = thread;
  threadIdx = dim3(thread);
  fiber.wait = Wait::none;
  if (_setjmp(scheduler)) return;
  if (fiber.started) _longjmp(fiber.place, 1);
  fiber.started = true;
  fiber.stack.reset(new char[stack_size]);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = stack_size;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, run_fiber, 0);
  setcontext(&fiber.context);
}

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "CUDA emulation: %s in block %u\n", what, blockIdx.x);
  std::abort();
}

// Runs the lanes of a warp until each has ended or waits at the block's barrier.
inline void run_warp(unsigned first) {
  for (;;) {
    unsigned joint = 0, runnable = 0;
    for (unsigned k = 0; k < 32; ++k) {
      const unsigned thread = first + (launches % 2 ? 31 - k : k);
      if (fibers[thread]->wait == Wait::none) resume(thread), ++runnable;
      joint += fibers[thread]->wait == Wait::warp;
    }
    if (joint == 32)
      for (unsigned k = 0; k < 32; ++k) fibers[first + k]->wait = Wait::none;
    else if (joint > 0)
      fail("lanes of a warp wait for others");
    else if (runnable == 0)
      return;
  }
}

inline void run_block(unsigned threads) {
  for (unsigned k = 0; k < threads; ++k) fibers[k]->wait = Wait::none, fibers[k]->turn = 0;
  for (;;) {
    for (unsigned k = 0; k < threads; k += 32) run_warp(launches % 2 ? threads - 32 - k : k);
    bool live = false;  // now every thread has ended or is at the barrier
    for (unsigned k = 0; k < threads; ++k)
      if (fibers[k]->wait == Wait::block) fibers[k]->wait = Wait::none, live = true;
    if (!live) return;
  }
}

inline unsigned long long exchange(unsigned long long value, unsigned from) {
  Fiber& own = *fibers[current];
  const unsigned turn = own.turn++ % 2, warp = current / 32 * 32;
  own.given[turn] = value;
  yield(Wait::warp);
  return fibers[warp + from]->given[turn];
}

template <class T>
T shuffle(T value, unsigned from) {
  static_assert(sizeof(T) <= sizeof(unsigned long long));
  unsigned long long bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(bits, from);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace emulation

template <class... P>
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** arguments, std::size_t,
                             cudaStream_t) {
  if (block.x == 0 || block.x > 1024 || block.x % 32 || grid.x == 0) return cudaErrorInvalidConfiguration;
  while (emulation::fibers.size() < block.x) emulation::fibers.emplace_back(new emulation::Fiber);
  blockDim = block, gridDim = grid;
  ++emulation::launches;
  emulation::body = [&] {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      kernel(*static_cast<P*>(arguments[I])...);
    }(std::index_sequence_for<P...>{});
  };
  for (unsigned k = 0; k < grid.x; ++k) {
    blockIdx = dim3(emulation::launches % 2 ? grid.x - 1 - k : k);
    emulation::run_block(block.x);
  }
  return cudaSuccess;
}

inline void __syncthreads() { emulation::yield(emulation::Wait::block); }
inline void __syncwarp() { emulation::exchange(0, 0); }
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return emulation::shuffle(value, static_cast<unsigned>(lane));
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulation::shuffle(value, (emulation::current % 32) ^ static_cast<unsigned>(mask));
}
inline unsigned __ballot_sync(unsigned, bool vote) {
  using namespace emulation;
  const unsigned turn = fibers[current]->turn % 2, warp = current / 32 * 32;
  exchange(vote, 0);
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; ++lane) ballot |= static_cast<unsigned>(fibers[warp + lane]->given[turn]) << lane;
  return ballot;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
template <class T>
T atomicAdd(T* at, T value) {
  return std::exchange(*at, *at + value);
}
template <class T>
T atomicMin(T* at, T value) {
  return std::exchange(*at, *at < value ? *at : value);
}
template <class T>
T atomicMax(T* at, T value) {
  return std::exchange(*at, *at > value ? *at : value);
}
