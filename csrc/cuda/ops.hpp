// The CUDA kernels, one file each, under the CPU's names: every pointer is the device's, every call is asynchronous on
// the context's stream (greedy_cover alone waits, for the number it returns).
#pragma once
#include <cstdint>

#include "common/views.hpp"
#include "cuda/context.hpp"

namespace esam::cuda {

// pairwise.cu
void intersections(const Context& context, const Masks& a, const Masks& b, std::int32_t* out);
void mask_iou(const Context& context, const Masks& a, const Masks& b, double* out);
void max_iou(const Context& context, const Masks& a, const Masks& b, double* best, std::int64_t* index);

// nms.cu
void nms(const Context& context, const Masks& masks, const std::int64_t* order, const double* thresholds, bool* keep);
void cluster_masks(const Context& context, const Masks& masks, const std::int64_t* order, double threshold,
                   std::int64_t* representative);

// overlap.cu
void split_overlaps(const Context& context, std::uint64_t* words, std::int64_t* area, const Masks& masks,
                    const std::int64_t* order, const std::int64_t* point_pixel, const std::int64_t* point_guide,
                    std::int64_t n_points, const float* scores, const Masks& guides, const float* guide_scores,
                    double delta, double score_margin);

// topk.cu
void top_k_similarity(const Context& context, const std::int16_t* features, std::int64_t n, std::int64_t c,
                      std::int64_t k, std::int32_t* index, std::int32_t* value);
void mask_similarity(const Context& context, const std::int32_t* neighbours, std::int64_t n, std::int64_t k,
                     const std::int32_t* membership, std::int64_t masks, double* out);

// cover.cu
std::int64_t greedy_cover(const Context& context, const Masks& masks, const std::int64_t* order,
                          std::uint64_t* covered, double min_gain, std::int64_t* picks, std::int64_t* gains);

// packing.cu
void pack_logits(const Context& context, const float* logits, std::int64_t n, int h, int w, int rows, int cols,
                 float offset, std::uint64_t* words, std::int64_t* area, std::int32_t* box, float* stability);
void measure(const Context& context, const std::uint64_t* words, std::int64_t n, int h, int w, std::int64_t* area,
             std::int32_t* box);

// density.cu
void mask_mean(const Context& context, const Masks& masks, const double* plane, double* out);

// draw.cu
void draw_labels(const Context& context, const float* planes, const std::int32_t* box, std::int64_t n, int h, int w,
                 int rows, int cols, double content_h, double content_w, std::int32_t* labels, std::int64_t image_h,
                 std::int64_t image_w);
void measure_labels(const Context& context, const std::int32_t* labels, std::int64_t h, std::int64_t w,
                    std::int64_t n, std::int64_t* area, std::int32_t* box);

}  // namespace esam::cuda
