// _core.cuda: device pointers in, as integers with their shapes; Python has checked and allocated everything.
#include "cuda/bindings.hpp"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <type_traits>
#include <vector>

#include "cuda/ops.hpp"

namespace py = pybind11;

namespace esam::cuda {
namespace {

// Memory on the device: its address, its shape, and the size of an item.
struct Array {
  std::uintptr_t address;
  std::vector<std::int64_t> shape;
  std::size_t item;

  template <class T>
  T* as() const {
    if (item != sizeof(T)) throw py::type_error("an item of a device array has another size than its kernel expects");
    return reinterpret_cast<T*>(address);
  }
  std::int64_t size(std::size_t axis) const { return shape.at(axis); }
};

Masks view(const Array& words, const Array& area, const Array& box, int h, int w) {
  return {words.as<std::uint64_t>(), area.as<std::int64_t>(), box.as<std::int32_t>(), words.size(0), h, w};
}

const Context& on(const Context& context) {
  check(cudaSetDevice(context.device), "cudaSetDevice");
  return context;
}

// A pairwise kernel: two sets of masks on one grid, and its outputs.
template <auto Kernel, class... Out>
auto pairs() {
  return [](const Context& context, const Array& a_words, const Array& a_area, const Array& a_box,
            const Array& b_words, const Array& b_area, const Array& b_box, int h, int w,
            const std::conditional_t<true, Array, Out>&... out) {
    Kernel(on(context), view(a_words, a_area, a_box, h, w), view(b_words, b_area, b_box, h, w),
           out.template as<Out>()...);
  };
}

void bind_nms(py::module_& m) {
  m.def("nms", [](const Context& context, const Array& words, const Array& area, const Array& box, int h, int w,
                  const Array& order, const Array& thresholds, const Array& keep) {
    nms(on(context), view(words, area, box, h, w), order.as<std::int64_t>(), thresholds.as<double>(),
        keep.as<bool>());
  });
  m.def("cluster_masks", [](const Context& context, const Array& words, const Array& area, const Array& box, int h,
                            int w, const Array& order, double threshold, const Array& representative) {
    cluster_masks(on(context), view(words, area, box, h, w), order.as<std::int64_t>(), threshold,
                  representative.as<std::int64_t>());
  });
}

void bind_overlap(py::module_& m) {
  m.def("split_overlaps", [](const Context& context, const Array& words, const Array& area, const Array& box, int h,
                             int w, const Array& order, const Array& point_pixel, const Array& point_guide,
                             const Array& scores, const Array& guide_words, const Array& guide_area,
                             const Array& guide_box, const Array& guide_scores, double delta, double score_margin) {
    split_overlaps(on(context), words.as<std::uint64_t>(), area.as<std::int64_t>(), view(words, area, box, h, w),
                   order.as<std::int64_t>(), point_pixel.as<std::int64_t>(), point_guide.as<std::int64_t>(),
                   point_pixel.size(0), scores.as<float>(), view(guide_words, guide_area, guide_box, h, w),
                   guide_scores.as<float>(), delta, score_margin);
  });
}

void bind_topk(py::module_& m) {
  m.def("top_k_similarity", [](const Context& context, const Array& features, std::int64_t k, const Array& index,
                               const Array& value) {
    top_k_similarity(on(context), features.as<std::int16_t>(), features.size(0), features.size(1), k,
                     index.as<std::int32_t>(), value.as<std::int32_t>());
  });
  m.def("mask_similarity", [](const Context& context, const Array& neighbours, const Array& membership,
                              std::int64_t n_masks, const Array& out) {
    mask_similarity(on(context), neighbours.as<std::int32_t>(), neighbours.size(0), neighbours.size(1),
                    membership.as<std::int32_t>(), n_masks, out.as<double>());
  });
}

void bind_cover_and_density(py::module_& m) {
  m.def("greedy_cover", [](const Context& context, const Array& words, const Array& area, const Array& box, int h,
                           int w, const Array& order, const Array& covered, double min_gain, const Array& picks,
                           const Array& gains) {
    return greedy_cover(on(context), view(words, area, box, h, w), order.as<std::int64_t>(),
                        covered.as<std::uint64_t>(), min_gain, picks.as<std::int64_t>(), gains.as<std::int64_t>());
  });
  m.def("mask_mean", [](const Context& context, const Array& words, const Array& area, const Array& box, int h, int w,
                        const Array& plane, const Array& out) {
    mask_mean(on(context), view(words, area, box, h, w), plane.as<double>(), out.as<double>());
  });
}

void bind_packing(py::module_& m) {
  m.def("pack_logits", [](const Context& context, const Array& logits, int rows, int cols, float offset,
                          const Array& words, const Array& area, const Array& box, const Array& stability) {
    pack_logits(on(context), logits.as<float>(), logits.size(0), static_cast<int>(logits.size(1)),
                static_cast<int>(logits.size(2)), rows, cols, offset, words.as<std::uint64_t>(),
                area.as<std::int64_t>(), box.as<std::int32_t>(), stability.as<float>());
  });
  m.def("measure", [](const Context& context, const Array& words, int h, int w, const Array& area, const Array& box) {
    measure(on(context), words.as<std::uint64_t>(), words.size(0), h, w, area.as<std::int64_t>(),
            box.as<std::int32_t>());
  });
}

void bind_draw(py::module_& m) {
  m.def("draw_labels", [](const Context& context, const Array& planes, const Array& box, int rows, int cols,
                          double content_h, double content_w, const Array& labels) {
    draw_labels(on(context), planes.as<float>(), box.as<std::int32_t>(), planes.size(0),
                static_cast<int>(planes.size(1)), static_cast<int>(planes.size(2)), rows, cols, content_h, content_w,
                labels.as<std::int32_t>(), labels.size(0), labels.size(1));
  });
  m.def("measure_labels", [](const Context& context, const Array& labels, const Array& area, const Array& box) {
    measure_labels(on(context), labels.as<std::int32_t>(), labels.size(0), labels.size(1), area.size(0),
                   area.as<std::int64_t>(), box.as<std::int32_t>());
  });
}

// Devices that a driver offers; 0 without a driver.
int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

}  // namespace

void bind(py::module_ m) {
  py::class_<Array>(m, "Array", py::module_local()).def(py::init<std::uintptr_t, std::vector<std::int64_t>, std::size_t>());
  py::class_<Context>(m, "Context", py::module_local())
      .def(py::init([](int device, std::uintptr_t stream, std::function<std::uintptr_t(std::size_t)> allocate) {
        return Context{device, reinterpret_cast<cudaStream_t>(stream), [allocate](std::size_t bytes) {
                         return reinterpret_cast<void*>(allocate(bytes));
                       }};
      }));
  m.def("device_count", &device_count);
  m.def("intersections", pairs<&intersections, std::int32_t>());
  m.def("mask_iou", pairs<&mask_iou, double>());
  m.def("max_iou", pairs<&max_iou, double, std::int64_t>());
  bind_nms(m);
  bind_overlap(m);
  bind_topk(m);
  bind_cover_and_density(m);
  bind_packing(m);
  bind_draw(m);
}

}  // namespace esam::cuda
