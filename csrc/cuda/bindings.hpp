// The CUDA kernels' own bindings, filled into the submodule _core.cuda.
#pragma once
#include <pybind11/pybind11.h>

namespace esam::cuda {
void bind(pybind11::module_ m);
}
