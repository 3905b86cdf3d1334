// CUDA on a CPU, for the tests: the kernels' own sources, compiled as plain C++, run thread by thread.
//
// The threads of a block are fibers of one system thread. A fiber runs until it waits at a barrier, or for the other
// lanes of its warp, so that what lies between two waits happens in the order of the threads, or, every other launch,
// in the reverse order: a kernel that forgot to synchronise gives another result in one of them. Waiting for a thread
// that has ended aborts. Only what the kernels use is here; memory of the "device" is the host's.
//
// Compiled with -fsanitize=thread, a fiber is a thread to the sanitizer: threads of a block see each other's writes
// only across __syncthreads, lanes of a warp also across __syncwarp (shuffles and ballots order nothing in CUDA), and
// whatever else two of them do to one place, not atomically, is reported. Blocks run one after the other.
// Compiled with -fsanitize=address, access beyond an array is reported.
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
enum cudaMemcpyKind { cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };

inline const char* cudaGetErrorName(cudaError_t) { return "cudaErrorInvalidConfiguration"; }
inline const char* cudaGetErrorString(cudaError_t) { return "invalid configuration argument"; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, size);
  return cudaSuccess;
}

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#define EMULATOR __attribute__((no_sanitize("thread")))  // its own data is not the kernels'

namespace emulation {

enum class Wait { none, block, warp, ended };

constexpr std::size_t stack_size = 256 * 1024;

struct Fiber {
  ucontext_t context;
  jmp_buf place;
  const void* stack = nullptr;
  std::size_t size = 0;
  void* thread = nullptr;  // what the thread sanitizer knows it by
  bool started = false;
  Wait wait = Wait::none;
  unsigned turn = 0;            // of the warp's joint operations
  unsigned barriers = 0;        // of the block, so far
  unsigned long long given[2];  // what this lane gives to one, and to the next
};

inline std::vector<Fiber*> fibers;  // they serve until the process ends
inline std::function<void()> body;
inline jmp_buf scheduler;
inline Fiber system_thread;  // where the scheduler runs
inline unsigned current = 0, launches = 0;

// Orders the memory accesses of threads before and after a point that all of them pass: release, then acquire.
struct SyncPoint {
  char places[2];  // in turn, so that a thread's next arrival does not order what lies between
  void arrive(unsigned turn) {
#ifdef __SANITIZE_THREAD__
    __tsan_release(&places[turn % 2]);
#endif
  }
  void leave(unsigned turn) {
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(&places[turn % 2]);
#endif
  }
};
inline SyncPoint block_start, block_end, barrier, warp_barriers[32];

// Tells the sanitizers whose stack and whose deeds come next, and once there whose they are now.
EMULATOR inline void leave_to(Fiber& fiber) {
#ifdef __SANITIZE_THREAD__
  __tsan_switch_to_fiber(fiber.thread, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(nullptr, fiber.stack, fiber.size);
#endif
}

EMULATOR inline void arrive_from(Fiber& fiber) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &fiber.stack, &fiber.size);
#endif
}

EMULATOR inline void yield(Wait wait) {
  Fiber& fiber = *fibers[current];
  fiber.wait = wait;
  if (!_setjmp(fiber.place)) {
    leave_to(system_thread);
    _longjmp(scheduler, 1);
  }
  arrive_from(system_thread);
}

EMULATOR inline void run_fiber() {
  arrive_from(system_thread);
  for (;;) {
    block_start.leave(0);
    body();
    block_end.arrive(0);
    yield(Wait::ended);
  }
}

EMULATOR inline void resume(unsigned thread) {
  Fiber& fiber = *fibers[thread];
  current = thread;
  threadIdx = dim3(thread);
  fiber.wait = Wait::none;
  if (_setjmp(scheduler)) {
    arrive_from(fiber);
    return;
  }
  if (fiber.started) {
    leave_to(fiber);
    _longjmp(fiber.place, 1);
  }
  fiber.started = true;
#ifdef __SANITIZE_THREAD__
  system_thread.thread = __tsan_get_current_fiber();
  fiber.thread = __tsan_create_fiber(0);
#endif
  char* stack = new char[stack_size];
  fiber.stack = stack, fiber.size = stack_size;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = stack;
  fiber.context.uc_stack.ss_size = stack_size;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, run_fiber, 0);
  leave_to(fiber);
  setcontext(&fiber.context);
}

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "CUDA emulation: %s in block %u\n", what, blockIdx.x);
  std::abort();
}

// Runs the lanes of a warp until each has ended or waits at the block's barrier.
EMULATOR inline void run_warp(unsigned first) {
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

EMULATOR inline void run_block(unsigned threads) {
  block_start.arrive(0);
  for (unsigned k = 0; k < threads; ++k) {
    fibers[k]->wait = Wait::none;
    fibers[k]->turn = fibers[k]->barriers = 0;
  }
  for (;;) {
    for (unsigned k = 0; k < threads; k += 32) run_warp(launches % 2 ? threads - 32 - k : k);
    bool live = false;  // now every thread has ended or is at the barrier
    for (unsigned k = 0; k < threads; ++k)
      if (fibers[k]->wait == Wait::block) fibers[k]->wait = Wait::none, live = true;
    if (!live) break;
  }
  block_end.leave(0);
}

EMULATOR inline unsigned long long exchange(unsigned long long value, unsigned from) {
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
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** arguments, std::size_t, cudaStream_t) {
  if (block.x == 0 || block.x > 1024 || block.x % 32 || grid.x == 0) return cudaErrorInvalidConfiguration;
  while (emulation::fibers.size() < block.x) emulation::fibers.push_back(new emulation::Fiber);
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

EMULATOR inline void __syncthreads() {
  const unsigned turn = emulation::fibers[emulation::current]->barriers++;
  emulation::barrier.arrive(turn);
  emulation::yield(emulation::Wait::block);
  emulation::barrier.leave(turn);
}
EMULATOR inline void __syncwarp() {
  emulation::SyncPoint& warp = emulation::warp_barriers[emulation::current / 32];
  const unsigned turn = emulation::fibers[emulation::current]->turn;
  warp.arrive(turn);
  emulation::exchange(0, 0);
  warp.leave(turn);
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return emulation::shuffle(value, static_cast<unsigned>(lane));
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulation::shuffle(value, (emulation::current % 32) ^ static_cast<unsigned>(mask));
}
EMULATOR inline unsigned __ballot_sync(unsigned, bool vote) {
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
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicMin(T* at, T value) {
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (value < old && !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <class T>
T atomicMax(T* at, T value) {
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (value > old && !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
