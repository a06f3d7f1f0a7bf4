"""Calling the kernels."""

from __future__ import annotations

import importlib

import numpy as np

from recurrio.core.base import compiled


def with_level(level: str, kernel: str, *arrays: np.ndarray) -> None:
    """Call `kernel` as it is with the instructions of `level`; after that they are those of before."""
    kernels = importlib.import_module("recurrio.core._kernels")  # there is none without a compiler
    kernels.use(level)
    try:
        kernels.bind(kernel, *arrays)()
    finally:
        kernels.use(compiled.INSTRUCTIONS)
