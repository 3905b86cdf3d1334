// A call's arguments out of Python; how an array is read differs between host and device.
#pragma once
#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <utility>

#include "common/kernel.hpp"

namespace esam {

// A Python object as an array; nothing if it is none.
using ReadArray = std::optional<Buffer> (*)(pybind11::handle);

inline Arguments arguments(const pybind11::tuple& given, ReadArray read_array) {
  Arguments read;
  read.reserve(given.size());
  for (const pybind11::handle value : given) {
    if (std::optional<Buffer> array = read_array(value))
      read.push_back({.kind = Argument::Kind::array, .array = *std::move(array)});
    else if (PyTuple_Check(value.ptr()))
      read.push_back({.kind = Argument::Kind::tuple,
                      .parts = arguments(pybind11::reinterpret_borrow<pybind11::tuple>(value), read_array)});
    else if (PyFloat_Check(value.ptr()))
      read.push_back({.kind = Argument::Kind::real, .real = value.cast<double>()});
    else if (PyIndex_Check(value.ptr()))
      read.push_back({.kind = Argument::Kind::whole, .whole = value.cast<std::int64_t>()});
    else
      throw pybind11::type_error("a kernel takes arrays, numbers and tuples of them, got " +
                                 std::string(Py_TYPE(value.ptr())->tp_name));
  }
  return read;
}

inline char kind_of_items(char numpy_kind) { return numpy_kind == 'u' ? 'i' : numpy_kind; }

}  // namespace esam
