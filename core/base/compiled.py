"""What there is of ``core/kernels`` here: everything, the element-wise part, or, installed without a compiler, nothing.

The kernels take float32; wherever one is missing, NumPy does the same, to rounding. ``INSTRUCTIONS`` says what they are
made of: ``"AVX-512"``, ``"AVX2"``, ``"plain"`` machine code, or ``"NumPy"``. The last bits of results depend on it.
"""

from __future__ import annotations

import numpy as np

try:
    from .._kernels import INSTRUCTIONS as LEVELS
    from .._kernels import bind, use
except ImportError:  # installed without a compiler
    INSTRUCTIONS = "NumPy"
    KERNELS: list[str] = []
else:
    INSTRUCTIONS = LEVELS[-1]
    KERNELS = use(INSTRUCTIONS)

__all__ = ["INSTRUCTIONS", "KERNELS", "bind", "has"]


def has(kernel: str, dtype: np.dtype) -> bool:
    """Whether `kernel` can be bound to arrays of `dtype`."""
    return dtype == np.float32 and kernel in KERNELS
