// _core.cuda: its kernels, called by name, on arrays of the device.
#include "cuda/bindings.hpp"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "common/python.hpp"
#include "cuda/context.hpp"

namespace py = pybind11;

namespace esam::cuda {
namespace {

std::optional<Buffer> device_array(py::handle value) {
  if (!py::isinstance<Buffer>(value)) return std::nullopt;
  return value.cast<Buffer>();
}

std::optional<std::int64_t> run(const Context& context, const std::string& kernel, const py::tuple& given) {
  const Arguments read = arguments(given, device_array);
  check(cudaSetDevice(context.device), "cudaSetDevice");
  return Kernels::run(kernel, read, context);
}

// Devices that a driver offers; 0 without a driver.
int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

}  // namespace

void bind(py::module_ m) {
  py::class_<Buffer>(m, "Array", py::module_local())
      .def(py::init([](std::uintptr_t address, std::vector<std::int64_t> shape, char kind, std::size_t item_size) {
        return Buffer{reinterpret_cast<void*>(address), std::move(shape), kind_of_items(kind), item_size, true};
      }));
  py::class_<Context>(m, "Context", py::module_local())
      .def(py::init([](int device, std::uintptr_t stream, std::function<std::uintptr_t(std::size_t)> allocate) {
        return Context{device, reinterpret_cast<cudaStream_t>(stream),
                       [allocate](std::size_t bytes) { return reinterpret_cast<void*>(allocate(bytes)); }};
      }));
  m.def("device_count", &device_count);
  m.def("run", &run);
}

}  // namespace esam::cuda
