#pragma once
#include <cstdint>

namespace esam {

// labels [h, w] in 0..regions-1, boundary [h, w], features [h, w, channels]; the outputs [2 * regions - 1]
void region_tree(const std::int32_t* labels, const float* boundary, const float* features, std::int64_t h,
                 std::int64_t w, std::int64_t channels, std::int32_t regions, std::int32_t* parent, double* height,
                 std::int64_t* area, std::int64_t* perimeter, double* strength);

}  // namespace esam
