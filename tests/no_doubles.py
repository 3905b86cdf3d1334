"""What torch would say on a device that can do less, forced on the CPU."""

from __future__ import annotations

from typing import Any

from sam_models import torch  # skips where there is none
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class NoDoubles(TorchDispatchMode):
    """Refuses float64, as Apple's devices do, and operations on the bits of whole numbers."""

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = op(*args, **kwargs or {})
        if any(isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float64 for leaf in tree_leaves((args, result))):
            raise TypeError(f"{op}: this device has no float64")
        if any(word in str(op) for word in ("shift", "bitwise")):
            raise TypeError(f"{op}: this device has no operations on bits")
        return result
