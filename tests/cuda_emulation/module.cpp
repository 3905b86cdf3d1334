// The CUDA bindings as a module of their own, its kernels run by the emulation. One unit: pybind11's headers are what
// takes time to compile.
#include "cuda/bindings.cpp"

PYBIND11_MODULE(emulated_cuda, m) { esam::cuda::bind(m); }
