// Logits to bits in one pass, with area, box and stability; areas and boxes of masks already packed.
#include "cuda/launch.cuh"

namespace esam::cuda {
namespace {

constexpr int threads = 256;

// Box and counts of the pixels that one thread sees; `combine` makes those of a block.
struct Extent {
  int x0 = 1 << 30, y0 = 1 << 30, x1 = 0, y1 = 0;
  int area = 0, high = 0, low = 0;

  __device__ void add(int from_x, int to_x, int y) {
    x0 = from_x < x0 ? from_x : x0;
    y0 = y < y0 ? y : y0;
    x1 = to_x > x1 ? to_x : x1;
    y1 = y + 1 > y1 ? y + 1 : y1;
  }
};

struct Shared {
  int x0, y0, x1, y1, area, high, low;
};

__device__ void clear(Shared& shared) {
  if (threadIdx.x == 0) shared = {1 << 30, 1 << 30, 0, 0, 0, 0, 0};
  __syncthreads();
}

__device__ void combine(Shared& shared, const Extent& extent, std::int64_t* area, std::int32_t* box) {
  if (extent.area || extent.high || extent.low || extent.y1) {
    atomicMin(&shared.x0, extent.x0);
    atomicMin(&shared.y0, extent.y0);
    atomicMax(&shared.x1, extent.x1);
    atomicMax(&shared.y1, extent.y1);
    atomicAdd(&shared.area, extent.area);
    atomicAdd(&shared.high, extent.high);
    atomicAdd(&shared.low, extent.low);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  *area = shared.area;
  box[0] = shared.area ? shared.x0 : 0, box[1] = shared.area ? shared.y0 : 0, box[2] = shared.x1, box[3] = shared.y1;
}

// One block per plane [h, w]; a warp makes one word at a time, by two ballots of 32 pixels.
__global__ void __launch_bounds__(threads)
    pack(const float* logits, int h, int w, int rows, int cols, float offset, std::uint64_t* words, std::int64_t* area,
         std::int32_t* box, float* stability) {
  __shared__ Shared shared;
  clear(shared);
  const std::int64_t i = blockIdx.x, pixels = static_cast<std::int64_t>(h) * w, stride = (pixels + 63) / 64;
  const float* plane = logits + i * pixels;
  const int lane = threadIdx.x % 32;
  Extent extent;
  for (std::int64_t word = threadIdx.x / 32; word < stride; word += threads / 32) {
    unsigned half[2] = {0, 0};
    if (word * 64 < static_cast<std::int64_t>(rows) * w)
      for (int part = 0; part < 2; ++part) {
        const int pixel = static_cast<int>(word * 64) + part * 32 + lane;
        const int y = pixel / w, x = pixel - y * w;
        const bool inside = y < rows && x < cols;
        const float value = inside ? plane[pixel] : 0.0f;
        const bool set = inside && value > 0.0f;
        if (set) extent.add(x, x + 1, y);
        extent.area += set, extent.high += inside && value > offset, extent.low += inside && value > -offset;
        half[part] = __ballot_sync(full, set);
      }
    if (lane == 0) words[i * stride + word] = half[0] | static_cast<std::uint64_t>(half[1]) << 32;
  }
  combine(shared, extent, area + i, box + 4 * i);
  if (threadIdx.x == 0) stability[i] = static_cast<float>(share(shared.high, shared.low));
}

// One block per mask; each thread cuts its words into pieces of rows.
__global__ void __launch_bounds__(threads)
    measure_masks(const std::uint64_t* words, int h, int w, std::int64_t* area, std::int32_t* box) {
  __shared__ Shared shared;
  clear(shared);
  const std::int64_t i = blockIdx.x, stride = (static_cast<std::int64_t>(h) * w + 63) / 64;
  Extent extent;
  for (std::int64_t word = threadIdx.x; word < stride; word += threads) {
    std::uint64_t bits = words[i * stride + word];
    extent.area += __popcll(bits);
    while (bits) {
      const std::int64_t first = word * 64 + __ffsll(static_cast<long long>(bits)) - 1;
      const int y = static_cast<int>(first / w);
      const std::int64_t left =
          static_cast<std::int64_t>(y + 1) * w - word * 64;  // bits of the word up to the row's end
      const std::uint64_t row = left >= 64 ? bits : bits & ((std::uint64_t{1} << left) - 1);
      const std::int64_t last = word * 64 + 63 - __clzll(static_cast<long long>(row));
      extent.add(static_cast<int>(first - static_cast<std::int64_t>(y) * w),
                 static_cast<int>(last + 1 - static_cast<std::int64_t>(y) * w), y);
      bits &= ~row;
    }
  }
  combine(shared, extent, area + i, box + 4 * i);
}

}  // namespace

void pack_logits(const Context& context, Array<const float, 3> logits, int rows, int cols, float offset,
                 std::uint64_t* words, std::int64_t* area, std::int32_t* box, float* stability) {
  const auto [n, h, w] = logits.shape;
  launch("pack_logits", &pack, n, threads, context, logits.data, h, w, rows, cols, offset, words, area, box, stability);
}

void measure(const Context& context, Array<const std::uint64_t, 2> masks, int h, int w, std::int64_t* area,
             std::int32_t* box) {
  launch("measure", &measure_masks, masks.shape[0], threads, context, masks.data, h, w, area, box);
}

ESAM_KERNEL(pack_logits);
ESAM_KERNEL(measure);

}  // namespace esam::cuda
