// The CUDA bindings as a module of their own, its kernels run by the emulation.
#include "cuda/bindings.hpp"

PYBIND11_MODULE(emulated_cuda, m) { esam::cuda::bind(m); }
