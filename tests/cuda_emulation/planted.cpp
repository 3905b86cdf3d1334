// A kernel with a chosen fault, for tests/sanitize.py to check that a sanitizer finds it.
#include <cuda_runtime.h>

#include <cstdio>
#include <string_view>

enum class Fault { none, barrier, warp, atomic, beyond };

constexpr int size = 64;

// Each thread ends with its own index in out [size], and the first with the number of threads added.
__global__ void turn_twice(int* out, Fault fault) {
  __shared__ int values[size];
  const int thread = static_cast<int>(threadIdx.x);
  values[size - 1 - thread] = thread;
  if (fault != Fault::barrier) __syncthreads();
  const int turned = values[thread];
  __syncthreads();
  if (thread < 32) {  // the first warp turns its half back
    values[31 - thread] = turned;
    if (fault == Fault::warp)
      __ballot_sync(0xffffffffu, true);  // lanes meet, but nothing orders their memory
    else
      __syncwarp();
    out[thread] = size - 1 - (values[thread] - 32) - 32;
  } else {
    out[thread] = size - 1 - turned;
  }
  __syncthreads();
  if (fault == Fault::atomic && thread == 5)
    out[0] += 1;
  else
    atomicAdd(&out[0], 1);
  if (fault == Fault::beyond && thread == 9) out[size] = 1;
}

int main(int, char** arguments) {
  constexpr std::string_view names[] = {"none", "barrier", "warp", "atomic", "beyond"};
  int fault = 0;
  while (names[fault] != arguments[1]) ++fault;
  auto* out = new int[size];
  for (int launch = 0; launch < 2; ++launch) {
    void* values[] = {&out, &fault};
    cudaLaunchKernel(turn_twice, dim3(3), dim3(size), values, 0, nullptr);
  }
  std::printf("%d\n", out[0]);
  delete[] out;
}
