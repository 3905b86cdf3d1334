"""The CUDA backend: runs the kernels of `_core.cuda` on arguments that live on the GPU or in NumPy.

What is on the GPU is handed over as it is. NumPy inputs of a call go there in one copy, NumPy outputs come back in one;
outputs that live on the GPU cost no wait. Memory is torch's, and so is the stream: everything is asynchronous in the
order of torch's own work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays
from esam_fast._arrays import Array, KernelArguments

_ALIGNMENT = 256


class Memory(Protocol):
    """Where a call's NumPy arrays are copied to, and its workspace is.

    Attributes:
        index: of the GPU.
        stream: the handle of the stream whose order everything keeps.
    """

    index: int
    stream: int

    def empty(self, size: int) -> Array:
        """A buffer of so many bytes, their values undefined."""

    def upload(self, data: NDArray[np.uint8]) -> Array:
        """A buffer with a copy of host bytes."""

    def download(self, buffer: Array) -> NDArray[np.uint8]:
        """The bytes of a buffer; waits for the work so far."""

    def address(self, buffer: Array) -> int:
        """Of a buffer or a tensor."""


class TorchMemory:
    """Memory on the GPU where a call's tensors live, or on torch's current one, and torch's current stream there."""

    def __init__(self, tensors: list[Array]) -> None:
        import torch

        self._torch = torch
        self._device = tensors[0].device if tensors else torch.device("cuda", torch.cuda.current_device())
        self.index: int = self._device.index
        self.stream: int = torch.cuda.current_stream(self._device).cuda_stream

    def empty(self, size: int) -> Array:
        return self._torch.empty(size, dtype=self._torch.uint8, device=self._device)

    def upload(self, data: NDArray[np.uint8]) -> Array:
        return self._torch.from_numpy(data).to(self._device, non_blocking=True)

    def download(self, buffer: Array) -> NDArray[np.uint8]:
        return buffer.cpu().numpy()

    def address(self, buffer: Array) -> int:
        return int(buffer.data_ptr())


class Kernels:
    """The kernels of a compiled module.

    Args:
        module: `_core.cuda`, or what looks like it.
        memory: makes the memory that a call with these tensors asks for.
    """

    def __init__(self, module: Any, memory: Callable[[list[Array]], Memory]) -> None:
        self._module = module
        self._memory = memory

    def run(self, name: str, arguments: KernelArguments, out: tuple[Array, ...]) -> int | None:
        """Run the kernel `name`; see `_backend.run`."""
        memory = self._memory([a for a in _flat((arguments, out)) if _arrays.is_tensor(a)])
        borrowed: list[Array] = []  # lives until the work is in the stream, where torch's memory is reused in order

        def allocate(size: int) -> int:
            borrowed.append(memory.empty(size))
            return memory.address(borrowed[-1])

        inputs, outputs = (_Packed([a for a in _flat(some) if isinstance(a, np.ndarray)]) for some in (arguments, out))
        sent, received = memory.upload(inputs.bytes()), memory.empty(outputs.size)
        addresses = inputs.addresses(memory.address(sent)) | outputs.addresses(memory.address(received))

        def handed(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(handed, value))
            if isinstance(value, np.ndarray):
                return self._module.Array(addresses[id(value)], value.shape, value.dtype.kind, value.itemsize)
            if _arrays.is_tensor(value):
                kind = "f" if value.is_floating_point() else "i"
                return self._module.Array(memory.address(value), value.shape, kind, value.element_size())
            return value

        context = self._module.Context(memory.index, memory.stream, allocate)
        result = self._module.run(context, name, handed(arguments + out))
        if outputs.arrays:
            outputs.unpack(memory.download(received))
        return result


def _flat(values: KernelArguments) -> Iterator[Any]:
    for value in values:
        yield from _flat(value) if isinstance(value, tuple) else (value,)


class _Packed:
    """NumPy arrays side by side in one piece of memory."""

    def __init__(self, arrays: list[NDArray[Any]]) -> None:
        self.arrays = arrays
        sizes = [-(-a.nbytes // _ALIGNMENT) * _ALIGNMENT for a in arrays]
        *self.offsets, self.size = accumulate(sizes, initial=0)

    def bytes(self) -> NDArray[np.uint8]:
        """All arrays, copied together."""
        data = np.empty(self.size, np.uint8)
        for array, offset in zip(self.arrays, self.offsets, strict=True):
            data[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
        return data

    def addresses(self, start: int) -> dict[int, int]:
        """Each array's address, by its id, in memory that starts there."""
        return {id(array): start + offset for array, offset in zip(self.arrays, self.offsets, strict=True)}

    def unpack(self, data: NDArray[np.uint8]) -> None:
        """Copy what came back into the arrays."""
        for array, offset in zip(self.arrays, self.offsets, strict=True):
            array[...] = data[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)


@cache
def _kernels() -> Kernels:
    from esam_fast import _core

    return Kernels(_core.cuda, TorchMemory)


def run(name: str, arguments: KernelArguments, out: tuple[Array, ...]) -> int | None:
    """Run a kernel of the native module in torch's memory; see `_backend.run`."""
    return _kernels().run(name, arguments, out)
