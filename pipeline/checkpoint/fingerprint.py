"""What the last bits of results depend on, beside the run itself."""

from __future__ import annotations

import platform
import sys
from functools import cache
from typing import Any

import numpy as np
import threadpoolctl

from ...core.base.compiled import INSTRUCTIONS

__all__ = ["differences", "fingerprint"]


def fingerprint(blas_threads: int) -> dict[str, str]:
    """NumPy and its BLAS, the compiled kernels, the number of threads of one product, and the machine, by name."""
    return {
        "numpy": np.__version__,
        "blas": _blas(),
        "kernels": INSTRUCTIONS,
        "blas threads": str(blas_threads),
        "machine": f"{platform.system()} {platform.machine()} {sys.byteorder}-endian",
    }


@cache
def _blas() -> str:
    """What is loaded at the first call. To look for it takes half a millisecond, and there is one call a checkpoint."""
    libraries: list[dict[str, Any]] = threadpoolctl.threadpool_info()
    blas = [
        " ".join(str(library[name]) for name in ("internal_api", "version", "architecture") if library.get(name))
        for library in libraries
        if library.get("user_api") == "blas"
    ]
    return ", ".join(sorted({*blas})) or "unknown"


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What is another one now, each in a few words."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [f"{name} was {before.get(name, 'unknown')}, is {now.get(name, 'unknown')}" for name in names]
