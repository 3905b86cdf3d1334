"""Fit the predicted IoU of the segmenter "regions" on photographs with human segmentations.

    python training/fit_regions.py --data FOLDER [--out FILE.json]

To be run after train_contours.py, on the same FOLDER. The target of a node is its highest IoU with a region of one
person's map, averaged over the people: the IoU to expect with what a person would outline.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import bsds
import numpy as np
from sklearn.ensemble import GradientBoostingRegressor

from esam_fast.segmenters.regions.calibration import properties
from esam_fast.segmenters.regions.hierarchy import Hierarchy, hierarchy

TREES, DEPTH, RATE = 80, 4, 0.1
LEAST_SHARE = 0.0005  # nodes below this share of the image are not fitted on
NOTE = (
    "Fitted by training/fit_regions.py on the training photographs and human segmentations of BSDS500 (Arbelaez, "
    "Maire, Fowlkes, Malik, IEEE TPAMI 33(5), 2011), which are for non-commercial research and education; see "
    "LICENSE.regions. Predicted IoU of a node = base + what each tree adds. A tree asks 15 questions in heap order "
    "(question i: is property if[i] greater than above[i]? no: go to 2i + 1, yes: to 2i + 2); the answer after the "
    "fourth picks one of the 16 numbers in add."
)


def true_iou(h: Hierarchy, truth: np.ndarray) -> np.ndarray:
    """Highest IoU of every node with a region of one label map."""
    regions = truth.max() + 1
    both = np.bincount(h.rank[h.leaf].ravel() * regions + truth.ravel(), minlength=h.tree.leaves * regions)
    both = np.concatenate([np.zeros((1, regions)), both.reshape(-1, regions).cumsum(axis=0)])
    inter = both[h.last] - both[h.first]
    return (inter / (h.tree.area[:, None] + both[-1] - inter)).max(axis=1)


def correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's, weighted."""
    a, b = a - np.average(a, weights=weights), b - np.average(b, weights=weights)
    return float((weights * a * b).sum() / np.sqrt((weights * a * a).sum() * (weights * b * b).sum()))


def complete(tree: object, names: list[str]) -> dict[str, list]:
    """One of scikit-learn's trees as a complete one: where it ends early, both answers lead to the same number."""
    asked, above, add = [], [], []
    level = [0]
    for depth in range(DEPTH + 1):
        following = []
        for node in level:
            inner = tree.children_left[node] >= 0
            if depth == DEPTH:
                add.append(round(RATE * float(tree.value[node, 0, 0]), 5))
            else:
                asked.append(names[tree.feature[node]] if inner else names[0])
                above.append(float(f"{tree.threshold[node]:.5g}") if inner else 0)
                following += [tree.children_left[node], tree.children_right[node]] if inner else [node, node]
        level = following
    return {"if": asked, "above": above, "add": add}


def main() -> None:
    """Read, fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    default = Path(__file__).parents[1] / "esam_fast" / "segmenters" / "regions" / "calibration.json"
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args()

    rows: dict[bool, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {False: [], True: []}
    names: list[str] = []
    for held in (False, True):
        for name in bsds.names(args.data, held_out=held):
            image, truths = bsds.read(args.data, name)
            h = hierarchy(image)
            of_nodes = properties(h)
            names = list(of_nodes)
            target = np.mean([true_iou(h, truth.astype(np.int64)) for truth in truths], axis=0)
            rows[held].append((np.stack(list(of_nodes.values()), axis=1), target, h.tree.area / h.tree.area[-1]))
    (x, y, share), (x_out, y_out, share_out) = (
        tuple(np.concatenate(part) for part in zip(*rows[held], strict=True)) for held in (False, True)
    )
    fitted = share > LEAST_SHARE
    model = GradientBoostingRegressor(
        n_estimators=TREES, max_depth=DEPTH, learning_rate=RATE, subsample=0.5, min_samples_leaf=30, random_state=0
    )
    model.fit(x[fitted].astype(np.float32), y[fitted], sample_weight=np.sqrt(share[fitted]))
    predicted = model.predict(x_out.astype(np.float32)).clip(0, 1)
    large = share_out > 0.002
    held_out = {
        "photographs": len(rows[True]),
        "correlation, nodes weighted by area (as a point meets them)": correlation(predicted, y_out, share_out),
        "correlation, nodes above 0.2 % of the image": correlation(predicted[large], y_out[large], large[large]),
        "correlation, all nodes": correlation(predicted, y_out, np.ones_like(y_out)),
        "mean absolute error, weighted by area": float(np.average(np.abs(predicted - y_out), weights=share_out)),
    }
    held_out = {key: round(value, 4) for key, value in held_out.items()}
    print(json.dumps(held_out, indent=1))
    base = round(float(model.init_.constant_[0, 0]), 5)
    head = {"note": NOTE, "held out": held_out, "properties": names, "base": base}
    trees = ",\n".join("  " + json.dumps(complete(tree.tree_, names)) for tree in model.estimators_[:, 0])
    args.out.write_text(json.dumps(head, indent=1)[:-2] + ',\n "trees": [\n' + trees + "\n ]\n}\n", "utf-8")
    print(f"wrote {args.out}, {args.out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
