"""Linear layers through oneDNN: on a CPU, torch asks MKL, which leaves AVX-512 unused on AMD's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b over the last dimension, as F.linear has it; without gradients."""
    if _ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return result
    return F.linear(x, weight, bias)
