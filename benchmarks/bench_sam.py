"""SAM's mask decoder: prompts a second against the official one, in the same process, same prompts, same weights.

    python benchmarks/bench_sam.py [--rounds 5] [--dtypes float32 bfloat16] [--device cuda]
    python benchmarks/bench_sam.py --memory 5120    # instead: the memory that so many prompts take

Official and ours take turns; medians are compared, and the answers are checked. The floor is the time that the matrix
products alone would take at the rate measured for a large one, by torch's matmul or by oneDNN, whichever is faster.
"""

from __future__ import annotations

import argparse
import copy
import resource
import statistics
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from clock import seconds
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor

from esam_fast.segmenters.sam import SamSegmenter, products

PROMPTS = 64  # a batch, as SamAutomaticMaskGenerator has it
SIDE = 1024

Answer = tuple[Tensor, Tensor]  # logits [N, 3, 256, 256], scores [N, 3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--memory", type=int, metavar="N", help="measure the memory that N prompts take, and nothing else"
    )
    arguments = parser.parse_args()
    sam = full_size_decoder().to(arguments.device)
    if arguments.memory:
        report_memory(sam, arguments.memory)
        return
    gpu = torch.cuda.get_device_name() if sam.device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {gpu}, {PROMPTS} prompts, {arguments.rounds} rounds")
    print(f"{'dtype':9} {'who':9} {'ms/prompt':>9} {'prompts/s':>9} {'GFLOP':>6} {'GFLOP/s':>8} {'of floor':>8}  ratio")
    for dtype in arguments.dtypes:
        compare(sam, dtype, arguments.rounds)


def compare(sam: Sam, dtype: str, rounds: int) -> None:
    """Print a line for the official decoder and one for ours; fail if ours is wrong."""
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    segmenter = SamSegmenter(sam, str(sam.device), dtype)
    embedding = segmenter.embed(image)
    features = torch.from_numpy(embedding.features)[None].to(sam.device)  # the whole square: the image has no padding
    official = copy.deepcopy(sam)
    official.mask_decoder.to(getattr(torch, dtype))

    def theirs(points: np.ndarray, sam: Sam = official) -> Answer:
        return official_answer(sam, features, points)

    def ours(points: np.ndarray) -> Answer:
        return segmenter.decode(embedding, points)

    times: dict[str, list[float]] = {"official": [], "esam_fast": []}
    for seed in range(rounds):
        points = np.random.default_rng(seed).uniform(0, SIDE, (PROMPTS, 2))
        for name, run in (("official", theirs), ("esam_fast", ours)):
            times[name].append(seconds(partial(run, points)) / PROMPTS)
    check(ours(points), theirs(points), official_answer(sam, features, points), dtype)

    rates = {kind: products.rate(kind, sam.device) for kind in (torch.float32, torch.bfloat16)}
    median = {name: statistics.median(each) for name, each in times.items()}
    for name, run in (("official", theirs), ("esam_fast", ours)):
        work = work_of(run, points)
        total = sum(work.values()) / 1e9
        floor = sum(flops / rates[kind] for kind, flops in work.items())
        print(
            f"{dtype:9} {name:9} {median[name] * 1e3:9.2f} {1 / median[name]:9.1f} {total:6.2f} "
            f"{total / median[name]:8.1f} {floor / median[name]:8.0%}  {median['official'] / median[name]:.1f}x"
        )


def check(ours: Answer, theirs: Answer, exact: Answer, dtype: str) -> None:
    """float32: equal up to rounding. bfloat16: no further from float32 than the official decoder in bfloat16."""
    for what, mine, other, true, limit in zip(("logits", "scores"), ours, theirs, exact, (1e-3, 1e-4), strict=True):
        error, official_error = (float((x.float() - true).square().mean().sqrt()) for x in (mine, other))
        worst, official_worst = (float((x.float() - true).abs().max()) for x in (mine, other))
        if dtype == "float32":
            assert worst < limit, f"{what} differ by {worst}"
        else:
            assert error <= official_error, f"{what}: {error} from float32, official {official_error}"
            assert worst <= official_worst, f"{what}: {worst} at worst, official {official_worst}"


def full_size_decoder() -> Sam:
    """SAM with random weights: prompt encoder and decoder as published, and an encoder that costs nothing."""
    torch.manual_seed(0)
    cells = SIDE // 16
    sam = Sam(
        ImageEncoderViT(img_size=SIDE, embed_dim=32, depth=1, num_heads=1, window_size=8),
        PromptEncoder(256, (cells, cells), (SIDE, SIDE), 16),
        MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 2048)),
    )
    with torch.no_grad():
        for weight in sam.mask_decoder.parameters():  # else attention is flat and logits are near 0
            weight.mul_(1.6) if weight.dim() > 1 else weight.add_(torch.randn_like(weight) / 5)
    return sam.eval()


@torch.inference_mode()
def official_answer(sam: Sam, features: Tensor, points: np.ndarray) -> Answer:
    dtype = sam.mask_decoder.iou_token.weight.dtype
    labels = torch.ones(len(points), 1, device=sam.device)
    placed = torch.from_numpy(points)[:, None].float().to(sam.device)
    sparse, dense = sam.prompt_encoder((placed, labels), None, None)
    position = sam.prompt_encoder.get_dense_pe()
    inputs = (each.to(dtype) for each in (features, position, sparse, dense))
    answer: Answer = sam.mask_decoder(*inputs, multimask_output=True)
    return answer


def work_of(run: Callable[[np.ndarray], Answer], points: np.ndarray) -> Counter[torch.dtype]:
    """Floating-point operations in matrix products a prompt, by dtype."""
    return Counter({dtype: flops // 16 for dtype, flops in products.count(lambda: run(points[:16])).items()})


def report_memory(sam: Sam, n: int) -> None:
    """Print the peak of memory while n prompts become bits, above what the model and its embedding take."""
    segmenter = SamSegmenter(sam)
    embedding = segmenter.embed(np.zeros((SIDE, SIDE, 3), np.uint8))
    points = np.random.default_rng(0).uniform(0, SIDE, (n, 2)).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = seconds(lambda: segmenter.masks(embedding, points))
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    print(f"{n} prompts to bits: {spent:.1f} s, {peak:.2f} GiB at the peak")
    assert peak * 2**30 < 1.5e9


if __name__ == "__main__":
    main()
