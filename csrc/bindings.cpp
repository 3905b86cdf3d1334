// Casts and GIL release, nothing else: Python has checked every argument and allocated every output.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cpu/ops.hpp"
#include "cpu/parallel.hpp"
#include "cpu/region_tree.hpp"
#include "cpu/simd.hpp"
#ifdef ESAM_CUDA
#include "cuda/bindings.hpp"
#endif

namespace py = pybind11;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Words = Array<std::uint64_t>;
using Areas = Array<std::int64_t>;
using Boxes = Array<std::int32_t>;

esam::Masks view(const Words& words, const Areas& area, const Boxes& box, int h, int w) {
  return {words.data(), area.data(), box.data(), static_cast<std::int64_t>(words.shape(0)), h, w};
}

// A pairwise kernel: two sets of masks on one grid, and its outputs.
template <auto Kernel, class... Out>
void pairs(const Words& a_words, const Areas& a_area, const Boxes& a_box, const Words& b_words, const Areas& b_area,
           const Boxes& b_box, int h, int w, Array<Out>... out) {
  const esam::Masks a = view(a_words, a_area, a_box, h, w), b = view(b_words, b_area, b_box, h, w);
  [&](Out*... pointers) {
    const py::gil_scoped_release released;
    Kernel(a, b, pointers...);
  }(out.mutable_data()...);
}

void nms(const Words& words, const Areas& area, const Boxes& box, int h, int w, const Areas& order,
         const Array<double>& thresholds, Array<bool> keep) {
  bool* out = keep.mutable_data();
  const py::gil_scoped_release released;
  esam::nms(view(words, area, box, h, w), order.data(), thresholds.data(), out);
}

void cluster_masks(const Words& words, const Areas& area, const Boxes& box, int h, int w, const Areas& order,
                   double threshold, Areas representative) {
  std::int64_t* out = representative.mutable_data();
  const py::gil_scoped_release released;
  esam::cluster_masks(view(words, area, box, h, w), order.data(), threshold, out);
}

void split_overlaps(Words words, Areas area, const Boxes& box, int h, int w, const Areas& order,
                    const Areas& point_pixel, const Areas& point_guide, const Array<float>& scores,
                    const Words& guide_words, const Areas& guide_area, const Boxes& guide_box,
                    const Array<float>& guide_scores, double delta, double score_margin) {
  std::uint64_t* words_out = words.mutable_data();
  std::int64_t* area_out = area.mutable_data();
  const py::gil_scoped_release released;
  esam::split_overlaps(words_out, area_out, view(words, area, box, h, w), order.data(), point_pixel.data(),
                       point_guide.data(), point_pixel.shape(0), scores.data(),
                       view(guide_words, guide_area, guide_box, h, w), guide_scores.data(), delta, score_margin);
}

void top_k_similarity(const Array<std::int16_t>& features, std::int64_t k, Boxes index, Boxes value) {
  std::int32_t *index_out = index.mutable_data(), *value_out = value.mutable_data();
  const py::gil_scoped_release released;
  esam::top_k_similarity(features.data(), features.shape(0), features.shape(1), k, index_out, value_out);
}

void mask_similarity(const Boxes& neighbours, const Boxes& membership, std::int64_t n_masks, Array<double> out) {
  double* similarity = out.mutable_data();
  const py::gil_scoped_release released;
  esam::mask_similarity(neighbours.data(), neighbours.shape(0), neighbours.shape(1), membership.data(), n_masks,
                        similarity);
}

std::int64_t greedy_cover(const Words& words, const Areas& area, const Boxes& box, int h, int w, const Areas& order,
                          Words covered, double min_gain, Areas picks, Areas gains) {
  std::uint64_t* covered_out = covered.mutable_data();
  std::int64_t *picks_out = picks.mutable_data(), *gains_out = gains.mutable_data();
  const py::gil_scoped_release released;
  return esam::greedy_cover(view(words, area, box, h, w), order.data(), covered_out, min_gain, picks_out, gains_out);
}

void pack_logits(const Array<float>& logits, int rows, int cols, float offset, Words words, Areas area, Boxes box,
                 Array<float> stability) {
  std::uint64_t* words_out = words.mutable_data();
  std::int64_t* area_out = area.mutable_data();
  std::int32_t* box_out = box.mutable_data();
  float* stability_out = stability.mutable_data();
  const py::gil_scoped_release released;
  esam::pack_logits(logits.data(), logits.shape(0), static_cast<int>(logits.shape(1)),
                    static_cast<int>(logits.shape(2)), rows, cols, offset, words_out, area_out, box_out,
                    stability_out);
}

void measure(const Words& words, int h, int w, Areas area, Boxes box) {
  std::int64_t* area_out = area.mutable_data();
  std::int32_t* box_out = box.mutable_data();
  const py::gil_scoped_release released;
  esam::measure(words.data(), words.shape(0), h, w, area_out, box_out);
}

void draw_labels(const Array<float>& planes, const Boxes& box, int rows, int cols, double content_h, double content_w,
                 Boxes labels) {
  std::int32_t* out = labels.mutable_data();
  const py::gil_scoped_release released;
  esam::draw_labels(planes.data(), box.data(), planes.shape(0), static_cast<int>(planes.shape(1)),
                    static_cast<int>(planes.shape(2)), rows, cols, content_h, content_w, out, labels.shape(0),
                    labels.shape(1));
}

void mask_mean(const Words& words, const Areas& area, const Boxes& box, int h, int w, const Array<double>& plane,
               Array<double> out) {
  double* mean = out.mutable_data();
  const py::gil_scoped_release released;
  esam::mask_mean(view(words, area, box, h, w), plane.data(), mean);
}

void measure_labels(const Boxes& labels, Areas area, Boxes box) {
  std::int64_t* area_out = area.mutable_data();
  std::int32_t* box_out = box.mutable_data();
  const py::gil_scoped_release released;
  esam::measure_labels(labels.data(), labels.shape(0), labels.shape(1), area.shape(0), area_out, box_out);
}

std::int32_t felzenszwalb(const Array<std::uint8_t>& image, float scale, const Array<float>& kernel,
                          std::int64_t min_size, Boxes labels) {
  std::int32_t* out = labels.mutable_data();
  const py::gil_scoped_release released;
  return esam::felzenszwalb(image.data(), image.shape(0), image.shape(1), scale, kernel.data(),
                            (kernel.shape(0) - 1) / 2, min_size, out);
}

std::int32_t watershed(const Array<std::uint8_t>& relief, Boxes labels) {
  std::int32_t* out = labels.mutable_data();
  const py::gil_scoped_release released;
  return esam::watershed(relief.data(), relief.shape(0), relief.shape(1), out);
}

void region_tree(const Boxes& labels, const Array<float>& boundary, const Array<float>& features, std::int32_t regions,
                 Boxes parent, Array<double> height, Areas area, Areas perimeter, Array<double> strength) {
  std::int32_t* parent_out = parent.mutable_data();
  double *height_out = height.mutable_data(), *strength_out = strength.mutable_data();
  std::int64_t *area_out = area.mutable_data(), *perimeter_out = perimeter.mutable_data();
  const py::gil_scoped_release released;
  esam::region_tree(labels.data(), boundary.data(), features.data(), labels.shape(0), labels.shape(1),
                    features.shape(2), regions, parent_out, height_out, area_out, perimeter_out, strength_out);
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.def("intersections", &pairs<&esam::intersections, std::int32_t>);
  m.def("mask_iou", &pairs<&esam::mask_iou, double>);
  m.def("max_iou", &pairs<&esam::max_iou, double, std::int64_t>);
  m.def("nms", &nms);
  m.def("cluster_masks", &cluster_masks);
  m.def("split_overlaps", &split_overlaps);
  m.def("top_k_similarity", &top_k_similarity);
  m.def("mask_similarity", &mask_similarity);
  m.def("greedy_cover", &greedy_cover);
  m.def("pack_logits", &pack_logits);
  m.def("measure", &measure);
  m.def("mask_mean", &mask_mean);
  m.def("draw_labels", &draw_labels);
  m.def("measure_labels", &measure_labels);
  m.def("felzenszwalb", &felzenszwalb);
  m.def("region_tree", &region_tree);
  m.def("watershed", &watershed);

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
