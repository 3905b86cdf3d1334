"""Fit the predicted IoU of the segmenter "regions" on photographs with human segmentations.

    python training/fit_regions.py --data FOLDER --work DIR [--out FILE.json]

To be run after train_contours.py, with the same FOLDER and DIR: each photograph's tree is that of the network whose
training left the photograph out, so the fit meets contours as they are on photographs that are new. The target of a
node is its highest IoU with a region of one person's map, averaged over the people: the IoU to expect with what a
person would outline. Each fold is also predicted by a fit that left it out. The last line says at which merge height
the same trees cover people's segmentations best: the LEVEL of levels.py.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import bsds
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from tree_covering import LEVELS, at_levels, overlaps

from esam_fast.segmenters.regions.calibration import properties
from esam_fast.segmenters.regions.contours import WEIGHTS
from esam_fast.segmenters.regions.hierarchy import hierarchy

TREES, DEPTH, RATE = 300, 4, 0.05
LEAST_SHARE = 0.0005  # nodes below this share of the image are not fitted on
NOTE = (
    "Fitted by training/fit_regions.py on the training photographs and human segmentations of BSDS500 (Arbelaez, "
    "Maire, Fowlkes, Malik, IEEE TPAMI 33(5), 2011), which are for non-commercial research and education; see "
    "LICENSE.regions. Predicted IoU of a node = base + what each tree adds. A tree asks 15 questions in heap order "
    "(question i: is the property of index if[i] greater than above[i]? no: go to 2i + 1, yes: to 2i + 2); the answer "
    "after the fourth picks one of the 16 numbers in add."
)


def correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's, weighted."""
    a, b = a - np.average(a, weights=weights), b - np.average(b, weights=weights)
    return float((weights * a * b).sum() / np.sqrt((weights * a * a).sum() * (weights * b * b).sum()))


def complete(nodes: np.ndarray) -> dict[str, list]:
    """One of scikit-learn's trees as a complete one: where it ends early, both answers lead to the same number."""
    asked, above, level = [], [], [0]
    for _ in range(DEPTH):
        below = []
        for node in level:
            inner = not nodes[node]["is_leaf"]
            asked.append(int(nodes[node]["feature_idx"]) if inner else 0)
            above.append(float(f"{nodes[node]['num_threshold']:.5g}") if inner else 0)
            below += [int(nodes[node]["left"]), int(nodes[node]["right"])] if inner else [node, node]
        level = below
    return {"if": asked, "above": above, "add": [round(float(nodes[node]["value"]), 5) for node in level]}


@dataclass
class Rows:
    """The nodes of one photograph: properties [N, P], true IoU [N], share of the image [N]; covering at LEVELS."""

    names: list[str]
    x: np.ndarray
    y: np.ndarray
    share: np.ndarray
    covering: np.ndarray


def rows_of(data: Path, name: str, weights: Path) -> Rows:
    """Read, segment, compare."""
    image, truths = bsds.read(data, name)
    h = hierarchy(image, weights=weights)
    of_nodes = properties(h)
    tables = overlaps(h, truths)
    y = np.mean([iou.max(axis=1) for iou, _ in tables], axis=0)
    x = np.stack(list(of_nodes.values()), axis=1).astype(np.float32)
    return Rows(list(of_nodes), x, y, h.tree.area / h.tree.area[-1], at_levels(h, tables))


def fit(rows: list[Rows]) -> HistGradientBoostingRegressor:
    """Boosted trees on all nodes but the smallest."""
    x, y, share = (np.concatenate([getattr(row, part) for row in rows]) for part in ("x", "y", "share"))
    model = HistGradientBoostingRegressor(
        max_iter=TREES,
        max_depth=DEPTH,
        learning_rate=RATE,
        max_leaf_nodes=None,
        max_features=0.4,
        min_samples_leaf=40,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )
    fitted = share > LEAST_SHARE
    return model.fit(x[fitted], y[fitted], sample_weight=np.sqrt(share[fitted]))


def predict(model: HistGradientBoostingRegressor, row: Rows) -> np.ndarray:
    """Predicted IoU [N] of a photograph's nodes."""
    return model.predict(row.x).clip(0, 1)


def agreement(scored: list[tuple[Rows, np.ndarray]]) -> dict[str, float]:
    """How well predicted IoU goes with true IoU over the nodes of all these photographs."""
    predicted = np.concatenate([of_nodes for _, of_nodes in scored])
    true, share = (np.concatenate([getattr(row, part) for row, _ in scored]) for part in ("y", "share"))
    large = share > 0.002
    found = {
        "photographs": len(scored),
        "correlation, nodes weighted by area (as a point meets them)": correlation(predicted, true, share),
        "correlation, nodes above 0.2 % of the image": correlation(predicted[large], true[large], large[large]),
        "correlation, all nodes": correlation(predicted, true, np.ones_like(true)),
        "mean absolute error, weighted by area": float(np.average(np.abs(predicted - true), weights=share)),
    }
    return {key: round(value, 4) for key, value in found.items()}


def main() -> None:
    """Read, fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    default = Path(__file__).parents[1] / "esam_fast" / "segmenters" / "regions" / "calibration.json"
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args()

    seen = bsds.names(args.data, held_out=False)
    folds = [
        [rows_of(args.data, name, args.work / f"fold_{k}.onnx") for name in bsds.fold(seen, k)]
        for k in range(bsds.FOLDS)
    ]
    held = [rows_of(args.data, name, WEIGHTS) for name in bsds.names(args.data, held_out=True)]
    model = fit([row for fold in folds for row in fold])
    scored = []
    for fold in folds:
        rest = fit([row for other in folds if other is not fold for row in other])
        scored += [(row, predict(rest, row)) for row in fold]
    held_out = agreement([(row, predict(model, row)) for row in held])
    print("held out", json.dumps(held_out, indent=1))
    print("folds, each left out", json.dumps(agreement(scored), indent=1))
    names = held[0].names
    base = round(float(model._baseline_prediction.item()), 5)  # nothing public has it or the trees
    head = {"note": NOTE, "held out": held_out, "properties": names, "base": base}
    trees = ",\n".join("  " + json.dumps(complete(tree.nodes)) for (tree,) in model._predictors)
    args.out.write_text(json.dumps(head, indent=1)[:-2] + ',\n "trees": [\n' + trees + "\n ]\n}\n", "utf-8")
    print(f"wrote {args.out}, {args.out.stat().st_size / 1024:.0f} KB")
    covering = np.mean([row.covering for row, _ in scored], axis=0)
    print(f"folds: covering of the trees at one level at most {covering.max():.4f}, at {LEVELS[covering.argmax()]:.1f}")


if __name__ == "__main__":
    main()
