// The raw CPU kernels, one file each; shapes and meaning are documented in esam_fast/ops.
#pragma once
#include <cstdint>

#include "common/views.hpp"

namespace esam {

// pairwise.cpp
void intersections(const Masks& a, const Masks& b, std::int32_t* out);             // out [a.n, b.n]
void mask_iou(const Masks& a, const Masks& b, double* out);                        // out [a.n, b.n]
void max_iou(const Masks& a, const Masks& b, double* best, std::int64_t* index);   // both [a.n]

// nms.cpp; order [n]: visiting order
void nms(const Masks& masks, const std::int64_t* order, const double* thresholds, bool* keep);
void cluster_masks(const Masks& masks, const std::int64_t* order, double threshold, std::int64_t* representative);

// overlap.cpp; words, area: the masks' own, changed in place
void split_overlaps(std::uint64_t* words, std::int64_t* area, const Masks& masks, const std::int64_t* order,
                    const std::int64_t* point_pixel, const std::int64_t* point_guide, std::int64_t n_points,
                    const float* scores, const Masks& guides, const float* guide_scores, double delta,
                    double score_margin);

// topk.cpp; features [n, c], index and value [n, k], neighbours [n, k], membership [n], out [masks, masks]
void top_k_similarity(const std::int16_t* features, std::int64_t n, std::int64_t c, std::int64_t k,
                      std::int32_t* index, std::int32_t* value);
void mask_similarity(const std::int32_t* neighbours, std::int64_t n, std::int64_t k, const std::int32_t* membership,
                     std::int64_t masks, double* out);

// cover.cpp; covered [stride], picks and gains [n]; returns the number of picks
std::int64_t greedy_cover(const Masks& masks, const std::int64_t* order, std::uint64_t* covered, double min_gain,
                          std::int64_t* picks, std::int64_t* gains);

// packing.cpp; logits [n, h, w], words [n, stride], box [n, 4]
void pack_logits(const float* logits, std::int64_t n, int h, int w, int rows, int cols, float offset,
                 std::uint64_t* words, std::int64_t* area, std::int32_t* box, float* stability);
void measure(const std::uint64_t* words, std::int64_t n, int h, int w, std::int64_t* area, std::int32_t* box);

// density.cpp; plane [h, w], out [masks.n]
void mask_mean(const Masks& masks, const double* plane, double* out);

// draw.cpp; planes [n, h, w], box [n, 4], labels [image_h, image_w]
void draw_labels(const float* planes, const std::int32_t* box, std::int64_t n, int h, int w, int rows, int cols,
                 double content_h, double content_w, std::int32_t* labels, std::int64_t image_h,
                 std::int64_t image_w);
// area [n], box [n, 4] of the labels 1..n in [h, w]
void measure_labels(const std::int32_t* labels, std::int64_t h, std::int64_t w, std::int64_t n, std::int64_t* area,
                    std::int32_t* box);

// felzenszwalb.cpp; image [h, w, 3], kernel [2 * radius + 1], labels [h, w]; returns the number of segments
std::int32_t felzenszwalb(const std::uint8_t* image, std::int64_t h, std::int64_t w, float scale, const float* kernel,
                          std::int64_t radius, std::int64_t min_size, std::int32_t* labels);

// watershed.cpp; relief and labels [h, w]; returns the number of basins
std::int32_t watershed(const std::uint8_t* relief, std::int64_t h, std::int64_t w, std::int32_t* labels);

}  // namespace esam
