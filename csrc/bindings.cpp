// The module _core: its kernels, called by name, and what was built. Python has checked every argument and allocated
// every output.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "common/python.hpp"
#include "cpu/parallel.hpp"
#include "cpu/simd.hpp"
#ifdef ESAM_CUDA
#include "cuda/bindings.hpp"
#endif

namespace py = pybind11;

namespace {

std::optional<esam::Buffer> numpy_array(py::handle value) {
  if (!py::isinstance<py::array>(value)) return std::nullopt;
  const auto array = py::reinterpret_borrow<py::array>(value);
  if (!(array.flags() & py::array::c_style)) throw py::type_error("a kernel takes C-contiguous arrays only");
  const py::dtype dtype = array.dtype();
  return esam::Buffer{const_cast<void*>(array.data()),
                      {array.shape(), array.shape() + array.ndim()},
                      esam::kind_of_items(dtype.kind()),
                      static_cast<std::size_t>(dtype.itemsize()),
                      array.writeable()};
}

std::optional<std::int64_t> run(const std::string& kernel, const py::tuple& given) {
  const esam::Arguments arguments = esam::arguments(given, numpy_array);
  const py::gil_scoped_release released;
  return esam::Kernels::run(kernel, arguments);
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.def("run", &run);
  m.def("set_num_threads", [](int n) { esam::num_threads() = n; });
  m.def("simd_level", [] { return std::string(esam::simd().name); });
  m.def("simd_levels", [] {
    std::vector<std::string> names;
    for (const esam::Simd& variant : esam::simd_variants()) names.emplace_back(variant.name);
    return names;
  });
  m.def("choose_simd", &esam::choose_simd);
#ifdef ESAM_CUDA
  m.attr("cuda_built") = true;
  esam::cuda::bind(m.def_submodule("cuda"));
#else
  m.attr("cuda_built") = false;
#endif
#if defined(__clang__)
  m.attr("compiler") = "clang " __clang_version__;
#elif defined(__GNUC__)
  m.attr("compiler") = "gcc " __VERSION__;
#elif defined(_MSC_VER)
  m.attr("compiler") = "msvc " + std::to_string(_MSC_VER);
#else
  m.attr("compiler") = "unknown";
#endif
}
