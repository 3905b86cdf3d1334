"""What a stranger's file, and a call, may cost, stated once; checked before anything is allocated by it.

Images. A file may claim MAX_PIXELS, or MAX_DIVIDED_PIXELS where it is decoded by windows; decoding takes about 10 bytes
a pixel. Formats whose decoders take more, and those with a smaller limit of their own, are in MAX_PIXELS_OF. A pixel
costs a file at least 1 / PIXELS_PER_BYTE bytes (a file that claims more is empty or a trap), but CHEAP_PIXELS are free.

Checkpoints. A .pth is a ZIP archive of stored members, a .safetensors file a header and tensors. No tensor of an
official model is larger than MAX_TENSOR_BYTES in float64; training adds gradients and an optimizer's moments, which
MAX_CHECKPOINT_BYTES allows for.

Calls. Kernels hold places in a plane (a mask, logits, an image for superpixels) in 32 bits, with four edges each: it
has at most MAX_PLANE_PIXELS, on every backend. Label maps and images that are only looked through may have
MAX_DIVIDED_PIXELS. What only a number asks for (labels to measure, neighbours to find) is limited too; what arrays ask
for is there already.
"""

from __future__ import annotations

MAX_PIXELS = 300_000_000
MAX_DIVIDED_PIXELS = 2_000_000_000  # of an image read by windows, each of at most MAX_PIXELS: a label map of 8 GB
MAX_VIEWS = 1 << 16  # of one image: a gigapixel in tiles of 256 pixels has some 20,000
MAX_SIDE = 1 << 20  # pixels; OpenCV's own
MAX_PIXELS_OF = {
    "JPEG2000": 100_000_000,  # of a tile, which is the whole image where there are none: 37 bytes a pixel
    "AVIF": 150_000_000,  # 21 bytes a pixel
    "WEBP": 16383 * 16383,  # the format's own
}
MAX_IMAGE_BYTES = 2_500_000_000  # 300 megapixels of four 16-bit channels, stored as they are
MAX_IMAGE_BYTES_OF = {"WEBP": 1 << 30, "AVIF": 1 << 30, "JPEG": 1 << 30}  # read into memory whole

CHEAP_PIXELS = 16_000_000
PIXELS_PER_BYTE = 10_000
# A progressive JPEG is decoded once for each of its scans: ten are usual.
CHEAP_SCANNED_PIXELS = 100_000_000  # pixels times scans
MAX_SCANNED_PIXELS = 10 * MAX_PIXELS
SCANNED_PIXELS_PER_BYTE = 2_000
MAX_TIFF_TAG_BYTES = 16 << 20  # a byte count for each tile of 16 x 16 pixels

MAX_HEADER_BYTES = 100_000_000  # of a .safetensors file; the format's own
MAX_CONFIG_BYTES = 1 << 20  # of a config.json beside it; SAM's have some 7 KB
MAX_ZIP_DIRECTORY_BYTES = 10_000_000  # an official checkpoint's has 60 KB
MAX_PICKLE_BYTES = 10_000_000  # what names the tensors of a .pth; an official one's has 70 KB
MAX_TENSOR_BYTES = 2 * 5120 * 1280 * 4  # the widest layer of vit_h
MAX_TENSORS = 20_000  # that a checkpoint names; vit_h has 594, and an optimizer's state two for each
MAX_CHECKPOINT_BYTES = 11_000_000_000  # four times vit_h

MAX_PLANE_PIXELS = (1 << 29) - 1  # and of each side; more than an image may have
MAX_GRID_SIDE = 1 << 15  # of a segmenter's grid: the sums that find a mask's centre stay in int64
MAX_MASKS = 1 << 20  # masks or groups that a number asks for
MAX_LABELS = 1 << 26  # of a label map, or of its views together: 1,024 in each of MAX_VIEWS; measured, they take 2 GB
MAX_PAIRS = 1 << 28  # of masks, or of vectors and neighbours: 2 GB of float64
MAX_NEIGHBOURS = 1024  # of a superpixel
MAX_SIGMA = 100.0  # of a smoothing, in pixels; its time grows with it
MAX_POINTS_PER_SIDE = 1024  # of a grid of prompts
MAX_FLOAT32 = 3.4e38  # of a number that kernels take as float32
MAX_CROP_LAYERS = 8  # of the official generator; each has four times as many crops
MAX_THREADS = 4096
