"""The numba backend: every raw kernel, for machines without a compiler; a file is compiled as it is first used."""
