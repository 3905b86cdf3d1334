// The kernels by name, and how a call's arguments become a kernel's own. Knows nothing of Python.
//
// A kernel is a function that ESAM_KERNEL names at the end of its file. Its parameters' types say what it takes:
//
//   Masks            packed masks: a tuple of words, area, box, height and width
//   Array<T, axes>   an array with its shape
//   T*               an array whose shape follows from the others
//   a number
//
// Arrays are contiguous; one whose T is not const is written. A kernel returns nothing or a whole number.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/views.hpp"

namespace esam {

// An array of any type: where it is, and what it holds.
struct Buffer {
  void* data;
  std::vector<std::int64_t> shape;
  char kind;              // of its items: 'i' whole numbers, signed or not, 'f' floating point, 'b' bool
  std::size_t item_size;  // in bytes
  bool writeable;
};

struct Argument {
  enum class Kind { whole, real, array, tuple } kind;
  std::int64_t whole = 0;
  double real = 0.0;
  Buffer array = {};
  std::vector<Argument> parts = {};  // of a tuple
};
using Arguments = std::vector<Argument>;

// One argument of a call, cast to what the kernel's parameter wants.
class Cast {
 public:
  Cast(const char* kernel, std::size_t position, const Argument& argument)
      : kernel_(kernel), position_(position), argument_(argument) {}

  template <class P>
  P to() const {
    if constexpr (std::is_same_v<P, Masks>) {
      return masks();
    } else if constexpr (std::is_pointer_v<P>) {
      return data<std::remove_pointer_t<P>>(buffer());
    } else if constexpr (std::is_integral_v<P>) {
      const std::int64_t value = argument_.whole;
      if (argument_.kind != Argument::Kind::whole || value < std::numeric_limits<P>::min() ||
          value > std::numeric_limits<P>::max())
        refuse("a whole number of " + std::to_string(sizeof(P)) + " bytes");
      return static_cast<P>(value);
    } else if constexpr (std::is_floating_point_v<P>) {
      if (argument_.kind == Argument::Kind::real) return static_cast<P>(argument_.real);
      if (argument_.kind == Argument::Kind::whole) return static_cast<P>(argument_.whole);
      refuse("a number");
    } else {
      return array(static_cast<P*>(nullptr));
    }
  }

 private:
  Masks masks() const {
    if (argument_.parts.size() != 5) refuse("masks: words, area, box, height, width");
    const auto part = [&](std::size_t i) { return Cast(kernel_, position_, argument_.parts[i]); };
    const auto words = part(0).to<Array<const std::uint64_t, 2>>();
    return {words.data,
            part(1).to<const std::int64_t*>(),
            part(2).to<const std::int32_t*>(),
            words.shape[0],
            part(3).to<int>(),
            part(4).to<int>()};
  }

  template <class T, std::size_t axes>
  Array<T, axes> array(const Array<T, axes>*) const {
    const Buffer& given = buffer();
    if (given.shape.size() != axes) refuse("an array of " + std::to_string(axes) + " axes");
    Array<T, axes> result{data<T>(given), {}};
    std::copy(given.shape.begin(), given.shape.end(), result.shape.begin());
    return result;
  }

  const Buffer& buffer() const {
    if (argument_.kind != Argument::Kind::array) refuse("an array");
    return argument_.array;
  }

  template <class T>
  T* data(const Buffer& given) const {
    using Item = std::remove_const_t<T>;
    constexpr char kind = std::is_same_v<Item, bool> ? 'b' : std::is_integral_v<Item> ? 'i' : 'f';
    if (given.kind != kind || given.item_size != sizeof(T))
      refuse(std::string("an array of '") + kind + std::to_string(sizeof(T)) + "', got '" + given.kind +
             std::to_string(given.item_size) + "'");
    if (!std::is_const_v<T> && !given.writeable) refuse("writeable");
    return static_cast<T*>(given.data);
  }

  [[noreturn]] void refuse(const std::string& expected) const {
    throw std::invalid_argument(std::string(kernel_) + ": argument " + std::to_string(position_) + " must be " +
                                expected);
  }

  const char* kernel_;
  std::size_t position_;  // in the call, from 0
  const Argument& argument_;
};

// The kernels of one processor by name. Lead: the types of their first parameters, which Python does not give.
template <class... Lead>
class Registry {
 public:
  using Result = std::optional<std::int64_t>;

  template <auto kernel>
  static bool add(const char* name) {
    all().push_back({name, [](const char* own, const Arguments& given, Lead... lead) {
                       return call(kernel, own, given, lead...);
                     }});
    return true;
  }

  static Result run(const std::string& name, const Arguments& given, Lead... lead) {
    for (const Entry& entry : all())
      if (name == entry.name) return entry.run(entry.name, given, lead...);
    throw std::invalid_argument("there is no kernel " + name);
  }

 private:
  struct Entry {
    const char* name;
    Result (*run)(const char* name, const Arguments& given, Lead... lead);
  };

  template <class R, class... P>
  static Result call(R (*kernel)(Lead..., P...), const char* name, const Arguments& given, Lead... lead) {
    if (given.size() != sizeof...(P))
      throw std::invalid_argument(std::string(name) + " takes " + std::to_string(sizeof...(P)) + " arguments, got " +
                                  std::to_string(given.size()));
    return spread(kernel, name, given, std::index_sequence_for<P...>{}, lead...);
  }

  template <class R, class... P, std::size_t... I>
  static Result spread(R (*kernel)(Lead..., P...), const char* name, const Arguments& given, std::index_sequence<I...>,
                       Lead... lead) {
    if constexpr (std::is_void_v<R>) {
      kernel(lead..., Cast(name, I, given[I]).template to<std::decay_t<P>>()...);
      return std::nullopt;
    } else {
      return kernel(lead..., Cast(name, I, given[I]).template to<std::decay_t<P>>()...);
    }
  }

  static std::vector<Entry>& all() {
    static std::vector<Entry> kernels;
    return kernels;
  }
};

using Kernels = Registry<>;  // esam::cuda has its own

}  // namespace esam

#define ESAM_KERNEL(name) [[maybe_unused]] static const bool name##_is_here = Kernels::add<&name>(#name)
