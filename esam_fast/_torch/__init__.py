"""The torch backend: the raw kernels in torch's own operations, for tensors on any device.

It serves CUDA tensors where the compiled kernels are missing. What is in NumPy is worked on as CPU tensors; outputs are
written where the caller allocated them.
"""
