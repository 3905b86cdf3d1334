"""The tables of `esam-fast ablate` on a nano SAM and the photographs that are held out.

    python training/nano_tables.py --weights nano.safetensors --data FOLDER --out OUT.json [--tables 3 rules]
                                   [--compare amg object best superpixels] [--images 40] [--threads 2]

FOLDER is laid out as bsds.py says. Of several people's segmentations the median one counts, as in `esam-fast ablate`.
An image is prompted once for the rows of all tables. The predictions are kept beside OUT.json, and a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import bsds
import torch
from nano_network import nano_sam
from safetensors.torch import load_file

from esam_fast import EsamConfig, _files
from esam_fast.evaluate import ablation, baselines, datasets, identity
from esam_fast.evaluate.journal import Journal
from esam_fast.evaluate.predict import predict
from esam_fast.segmenters.sam import SamSegmenter


class NanoSegmenter(SamSegmenter):
    """A nano SAM with filters of its own range: about two thirds of its masks pass, as SAM's do at SAM's filters.

    Its logits are too flat for a filter on stability: the median over the masks that it prefers is about 0.25.
    """

    score_threshold = 0.45
    stability_threshold = 0.0

    def __init__(self, weights: Path) -> None:
        sam = nano_sam()
        sam.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
        super().__init__(sam, name="nano", owned=True)


def held_out(data: Path, count: int | None = None) -> datasets.Dataset:
    """The annotations of the photographs that are held out, or of the first `count` of them."""
    every = datasets.load(data / "labels", image_names={path.stem for path in (data / "images").iterdir()})
    images = [truth for truth in every if truth.image_id in bsds.HELD_OUT]
    return replace(every, images=images).limited(count)


def main() -> None:
    """Measure the rows of a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tables", choices=ablation.TABLES, nargs="+", default=["3"])
    parser.add_argument("--compare", choices=baselines.METHODS, nargs="*", default=[], help="more rows for each table")
    parser.add_argument("--images", type=int, help="the first ones only")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dataset, config, nano = held_out(args.data, args.images), EsamConfig(), NanoSegmenter(args.weights)
    rows = {name: changes for table in args.tables for name, changes in ablation.TABLES[table].items()}
    every = [*rows, *args.compare]
    answer = ablation.answer(rows, config, lambda truth, seed: nano, compare=args.compare)
    header = identity.of_run(dataset, config, identity.of_segmenter(nano, str(args.weights)), every)
    journal = Journal(args.out.with_suffix(".predictions.jsonl"), header, option="--out")
    found = predict(dataset, args.data / "images", every, answer, journal, strict=True).found
    report = {}
    for table in args.tables:
        chosen = {name: found[name] for name in [*ablation.TABLES[table], *args.compare]}
        report[table] = ablation.measure(dataset, chosen)
        print(ablation.table(report[table]), end="\n\n")
    _files.write_bytes(args.out, json.dumps({"images": len(dataset), "tables": report}, indent=1).encode())


if __name__ == "__main__":
    main()
