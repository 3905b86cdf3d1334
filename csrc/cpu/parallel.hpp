// Plain threads: started for one call and joined at its end, apart from OpenMP's and torch's pools.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace esam {

inline std::atomic<int>& num_threads() {
  static std::atomic<int> n{1};
  return n;
}

// The grain at which a chunk is worth a thread's start: 50 us of items that take about so long each.
inline std::int64_t worth(double nanoseconds) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(50'000 / (nanoseconds + 1)));
}

// body(first, last) over [0, n) in chunks of `grain`, on as many threads as are allowed and useful, and as the system
// gives. What a body throws reaches the caller when all threads have ended.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, const Body& body) {
  const std::int64_t chunks = (n + grain - 1) / grain;
  const int threads = static_cast<int>(std::min<std::int64_t>(num_threads(), chunks));
  if (threads <= 1) {
    if (n > 0) body(std::int64_t{0}, n);
    return;
  }
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex guard;
  const auto work = [&] {
    try {
      for (std::int64_t chunk; (chunk = next++) < chunks;) body(chunk * grain, std::min(n, (chunk + 1) * grain));
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> team;
  try {
    team.reserve(threads - 1);
    for (int i = 1; i < threads; ++i) team.emplace_back(work);
  } catch (...) {  // no further thread, or no memory for one: those that run do all the work
  }
  work();
  for (std::thread& t : team) t.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace esam
