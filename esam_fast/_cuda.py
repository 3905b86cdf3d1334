"""The CUDA backend: the raw kernels of `_core.cuda` under the signatures of the others.

What is on the GPU is handed over as it is. NumPy inputs of a call go there in one copy, NumPy outputs come back in one;
outputs that live on the GPU cost no wait. Memory is torch's, and so is the stream: everything is asynchronous in the
order of torch's own work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays

# Each kernel's outputs: so many of its last arguments. Of greedy_cover's, `covered` need not come back.
_OUTPUTS = {
    "intersections": 1,
    "mask_iou": 1,
    "max_iou": 2,
    "nms": 1,
    "cluster_masks": 1,
    "split_overlaps": 0,
    "top_k_similarity": 2,
    "mask_similarity": 1,
    "greedy_cover": 2,
    "pack_logits": 4,
    "measure": 2,
    "mask_mean": 1,
    "draw_labels": 1,
    "measure_labels": 2,
}
_CHANGED = {"split_overlaps": 2}  # so many of its first arguments are inputs and outputs
_ALIGNMENT = 256


class TorchMemory:
    """Memory on the GPU where a call's tensors live, or on torch's current one, and torch's current stream there."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        import torch

        self._torch = torch
        tensors = [a for a in arguments if _arrays.is_tensor(a)]
        self._device = tensors[0].device if tensors else torch.device("cuda", torch.cuda.current_device())
        self.index: int = self._device.index
        self.stream: int = torch.cuda.current_stream(self._device).cuda_stream

    def empty(self, size: int) -> Any:
        """So many bytes, their values undefined."""
        return self._torch.empty(size, dtype=self._torch.uint8, device=self._device)

    def upload(self, data: NDArray[np.uint8]) -> Any:
        """A copy of host bytes."""
        return self._torch.from_numpy(data).to(self._device, non_blocking=True)

    def download(self, buffer: Any) -> NDArray[np.uint8]:
        """The bytes of a buffer; waits for the work so far."""
        return buffer.cpu().numpy()

    def address(self, buffer: Any) -> int:
        """Of a buffer or a tensor."""
        return int(buffer.data_ptr())


class Kernels:
    """The kernels of a compiled module by name.

    Args:
        module: `_core.cuda`, or what looks like it.
        memory: makes the memory that a call's arguments ask for.
    """

    def __init__(self, module: Any, memory: Callable[[tuple[Any, ...]], Any]) -> None:
        self._module = module
        self._memory = memory

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _OUTPUTS:
            raise AttributeError(f"the CUDA backend has no kernel {name!r}")
        return partial(self._run, name)

    def _run(self, name: str, *arguments: Any) -> Any:
        memory = self._memory(arguments)
        borrowed: list[Any] = []  # lives until the work is in the stream, where torch's memory is reused in order

        def allocate(size: int) -> int:
            borrowed.append(memory.empty(size))
            return memory.address(borrowed[-1])

        last = range(len(arguments) - _OUTPUTS[name], len(arguments))
        first = range(_CHANGED.get(name, 0))
        arrays = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]
        inputs = _Packed(arguments, [i for i in arrays if i not in last])
        outputs = _Packed(arguments, [i for i in arrays if i in last])
        sent = memory.upload(inputs.bytes(arguments))
        received = memory.empty(outputs.size)
        borrowed += [sent, received]
        places = inputs.addresses(memory.address(sent)) | outputs.addresses(memory.address(received))
        array = self._module.Array
        handed = [
            array(places[i], list(a.shape), a.itemsize) if i in places
            else array(memory.address(a), list(a.shape), a.element_size()) if _arrays.is_tensor(a)
            else a
            for i, a in enumerate(arguments)
        ]  # fmt: skip
        context = self._module.Context(memory.index, memory.stream, allocate)
        result = getattr(self._module, name)(context, *handed)
        if outputs.offsets:
            outputs.unpack(memory.download(received), arguments, outputs.offsets)
        changed = [i for i in first if i in inputs.offsets]
        if changed:
            inputs.unpack(memory.download(sent), arguments, changed)
        return result


class _Packed:
    """NumPy arrays, some of a call's arguments, side by side in one piece of memory."""

    def __init__(self, arguments: tuple[Any, ...], members: list[int]) -> None:
        self.offsets: dict[int, int] = {}
        self.size = 0
        for i in members:
            self.offsets[i] = self.size
            self.size += -(-arguments[i].nbytes // _ALIGNMENT) * _ALIGNMENT

    def bytes(self, arguments: tuple[Any, ...]) -> NDArray[np.uint8]:
        """All members, copied together."""
        data = np.empty(self.size, np.uint8)
        for i, offset in self.offsets.items():
            data[offset : offset + arguments[i].nbytes] = arguments[i].reshape(-1).view(np.uint8)
        return data

    def addresses(self, start: int) -> dict[int, int]:
        """Each member's address in memory that starts there."""
        return {i: start + offset for i, offset in self.offsets.items()}

    def unpack(self, data: NDArray[np.uint8], arguments: tuple[Any, ...], members: Any) -> None:
        """Copy members back into their arrays."""
        for i in members:
            array = arguments[i]
            part = data[self.offsets[i] : self.offsets[i] + array.nbytes]
            array[...] = part.view(array.dtype).reshape(array.shape)


def kernels() -> Kernels:
    """The kernels of the native module, in torch's memory."""
    from esam_fast import _core

    return Kernels(_core.cuda, TorchMemory)
