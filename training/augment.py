"""What both trainings do to the colours of their photographs."""

from __future__ import annotations

import cv2
import numpy as np


def recolour(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gamma, brightness, contrast, saturation, colour cast, at times grey, blurred or noisy: [h, w, 3] in 0..255."""
    if rng.random() < 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + (picture - grey) * np.float32(0 if rng.random() < 0.05 else rng.uniform(0.5, 1.5))
    picture = 255 * (picture.clip(0, 255) / 255) ** np.float32(np.exp(rng.normal(0, 0.2)))
    middle = picture.mean()
    picture = (picture - middle) * np.float32(rng.uniform(0.7, 1.3)) + middle
    picture = picture * rng.normal(1, 0.06, 3).astype(np.float32) + np.float32(rng.normal(0, 10))
    if rng.random() < 0.3:
        picture = picture + rng.normal(0, rng.uniform(1, 8), picture.shape).astype(np.float32)
    return picture.clip(0, 255).astype(np.float32)
