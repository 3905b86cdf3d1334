// Entities at full resolution: each pixel goes to the plane with the largest positive bilinear sample.
#include "cuda/launch.cuh"

namespace esam::cuda {
namespace {

constexpr int width = 32, height = 8, threads = width * height;  // of a block's tile of the image
constexpr int warps = threads / 32;

// One block per tile. 256 planes at a time, those whose box reaches the tile are listed in order; then every thread
// samples these at its pixel.
__global__ void __launch_bounds__(threads)
    draw(const float* planes, const std::int32_t* box, std::int64_t n, int h, int w, int rows, int cols,
         double content_h, double content_w, std::int32_t* labels, std::int64_t image_h, std::int64_t image_w,
         std::int64_t columns) {
  __shared__ Tap xs[width], ys[height];
  __shared__ int listed[threads];
  __shared__ int before[warps + 1];
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const std::int64_t x0 = blockIdx.x % columns * width, y0 = blockIdx.x / columns * height;
  if (thread < width) xs[thread] = tap(min64(x0 + thread, image_w - 1), image_w, content_w, cols);
  if (thread >= width && thread < width + height)
    ys[thread - width] = tap(min64(y0 + thread - width, image_h - 1), image_h, content_h, rows);
  __syncthreads();
  const Tap x = xs[thread % width], y = ys[thread / width];
  float best = 0.0f;
  std::int32_t label = 0;
  for (std::int64_t base = 0; base < n; base += threads) {
    bool near = false;
    if (base + thread < n) {
      const std::int32_t* b = box + 4 * (base + thread);
      near = b[2] > b[0] && xs[width - 1].high >= b[0] && xs[0].low < b[2] && ys[height - 1].high >= b[1] &&
             ys[0].low < b[3];
    }
    const unsigned ballot = __ballot_sync(full, near);
    if (lane == 0) before[warp + 1] = __popc(ballot);
    if (thread == 0) before[0] = 0;
    __syncthreads();
    if (thread == 0)
      for (int k = 0; k < warps; ++k) before[k + 1] += before[k];
    __syncthreads();
    if (near) listed[before[warp] + __popc(ballot & ((1u << lane) - 1))] = static_cast<int>(base + thread);
    __syncthreads();
    const int count = before[warps];
    for (int k = 0; k < count; ++k) {
      const std::int32_t* b = box + 4 * static_cast<std::int64_t>(listed[k]);
      if (x.high < b[0] || x.low >= b[2] || y.high < b[1] || y.low >= b[3]) continue;
      const float* top = planes + (static_cast<std::size_t>(listed[k]) * h + y.low) * w;
      const float* bottom = top + static_cast<std::ptrdiff_t>(y.high - y.low) * w;
      const float value = blend(blend(top[x.low], bottom[x.low], y.t), blend(top[x.high], bottom[x.high], y.t), x.t);
      if (value > best) best = value, label = listed[k] + 1;
    }
    __syncthreads();
  }
  if (x0 + thread % width < image_w && y0 + thread / width < image_h)
    labels[(y0 + thread / width) * image_w + x0 + thread % width] = label;
}

constexpr int run = 64;  // pixels of a row that a thread measures

__global__ void clear(std::int64_t n, std::int64_t* area, std::int32_t* box) {
  const std::int64_t k = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
  if (k >= n) return;
  area[k] = 0;
  box[4 * k] = box[4 * k + 1] = 0x7fffffff, box[4 * k + 2] = box[4 * k + 3] = 0;
}

// One thread per piece of a row, with one set of atomics for each run of a label in it.
__global__ void tally(const std::int32_t* labels, std::int64_t h, std::int64_t w, std::int64_t n, std::int64_t pieces,
                      std::int64_t* area, std::int32_t* box) {
  const std::int64_t task = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
  const std::int64_t y = task / pieces, end = min64(w, (task % pieces + 1) * run);
  if (y >= h) return;
  const std::int32_t* row = labels + y * w;
  for (std::int64_t from = task % pieces * run, x = from; from < end; from = x) {
    while (x < end && row[x] == row[from]) ++x;
    const std::int64_t k = static_cast<std::int64_t>(row[from]) - 1;
    if (k < 0 || k >= n) continue;
    atomicAdd(reinterpret_cast<unsigned long long*>(area + k), static_cast<unsigned long long>(x - from));
    atomicMin(box + 4 * k, static_cast<int>(from));
    atomicMin(box + 4 * k + 1, static_cast<int>(y));
    atomicMax(box + 4 * k + 2, static_cast<int>(x));
    atomicMax(box + 4 * k + 3, static_cast<int>(y + 1));
  }
}

__global__ void zero_boxes_of_absent(std::int64_t n, const std::int64_t* area, std::int32_t* box) {
  const std::int64_t k = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
  if (k < n && area[k] == 0) box[4 * k] = box[4 * k + 1] = 0;
}

}  // namespace

void draw_labels(const Context& context, Array<const float, 3> planes, const std::int32_t* box, int rows, int cols,
                 double content_h, double content_w, Array<std::int32_t, 2> labels) {
  const std::int64_t n = planes.shape[0], image_h = labels.shape[0], image_w = labels.shape[1];
  const int h = static_cast<int>(planes.shape[1]), w = static_cast<int>(planes.shape[2]);
  const std::int64_t columns = tiles(image_w, width);
  launch("draw_labels", &draw, columns * tiles(image_h, height), threads, context, planes.data, box, n, h, w, rows,
         cols, content_h, content_w, labels.data, image_h, image_w, columns);
}

void measure_labels(const Context& context, Array<const std::int32_t, 2> labels, Array<std::int64_t, 1> areas,
                    std::int32_t* box) {
  const std::int64_t h = labels.shape[0], w = labels.shape[1], n = areas.shape[0];
  std::int64_t* area = areas.data;
  const std::int64_t pieces = tiles(w, run);
  launch("measure_labels: clear", &clear, tiles(n, threads), threads, context, n, area, box);
  launch("measure_labels: tally", &tally, tiles(h * pieces, threads), threads, context, labels.data, h, w, n, pieces,
         area, box);
  launch("measure_labels: zero boxes", &zero_boxes_of_absent, tiles(n, threads), threads, context, n, area, box);
}

ESAM_KERNEL(draw_labels);
ESAM_KERNEL(measure_labels);

}  // namespace esam::cuda
