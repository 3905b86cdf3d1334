"""Types of the compiled module; its kernels are run by name (see `esam_fast._backend.run`)."""

from collections.abc import Callable, Sequence
from typing import Any

compiler: str
cuda_built: bool

class _Cuda:
    """The submodule `cuda` of a build with CUDA kernels."""

    class Array:
        """An array on the device: address, shape, NumPy's kind and bytes of an item."""

        def __init__(self, address: int, shape: Sequence[int], kind: str, item_size: int) -> None: ...

    class Context:
        """Device, stream (its handle), and a function that lends so many bytes of memory by their address."""

        def __init__(self, device: int, stream: int, allocate: Callable[[int], int]) -> None: ...

    def device_count(self) -> int: ...
    def run(self, context: Context, kernel: str, arguments: tuple[Any, ...]) -> int | None: ...

cuda: _Cuda

def run(kernel: str, arguments: tuple[Any, ...]) -> int | None: ...
def set_num_threads(n: int) -> None: ...
def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
def choose_simd(name: str) -> bool: ...
