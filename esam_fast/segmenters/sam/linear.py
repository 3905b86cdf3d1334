"""Matrix products through oneDNN: on a CPU, torch asks MKL, which leaves AVX-512 unused on AMD's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b over the last dimension, as F.linear has it; without gradients.

    The weight or its transpose must be contiguous: oneDNN has no fast code for others.
    """
    if _ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return result
    return F.linear(x, weight, bias)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a b of matrices [B, m, k] and [B, k, n]."""
    return linear(a[0], b[0].mT)[None] if _alone(a) else a @ b


def add_product(out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """out [B, m, n] after a b, as in `product`, is added to it."""
    return out.add_(product(a, b)) if _alone(a) else out.baddbmm_(a, b)


def _alone(a: Tensor) -> bool:
    return len(a) == 1 and a.device.type == "cpu"
