"""What there is of ``core/kernels`` here: everything, the element-wise part, or, installed without a compiler, nothing.

The kernels take float32; wherever one is missing, NumPy does the same, to rounding. ``INSTRUCTIONS`` says what they are
made of: ``"AVX-512"``, ``"AVX2"``, ``"plain"`` machine code, or ``"NumPy"``. The last bits of results depend on it.
``MISSING`` says what a user should know where there is nothing; it is empty where there is something.
"""

from __future__ import annotations

import numpy as np

try:
    from .._kernels import INSTRUCTIONS as LEVELS
    from .._kernels import bind, use
except ImportError as error:  # installed without a compiler
    INSTRUCTIONS = "NumPy"
    MISSING = (
        f"the compiled kernels are missing ({error}), so NumPy computes, which is slower; "
        "with a C compiler, install recurrio again"
    )
    KERNELS: list[str] = []
else:
    INSTRUCTIONS, MISSING = LEVELS[-1], ""
    KERNELS = use(INSTRUCTIONS)

__all__ = ["INSTRUCTIONS", "KERNELS", "MISSING", "bind", "has"]


def has(kernel: str, dtype: np.dtype) -> bool:
    """Whether `kernel` can be bound to arrays of `dtype`."""
    return dtype == np.float32 and kernel in KERNELS
