"""The version, in one place: the package, its wheel and its results name it."""

__version__ = "0.1.0"
