"""What there is of ``core/kernels`` here: everything, the element-wise part, or, installed without a compiler, nothing.

The kernels take float32; wherever one is missing, NumPy does the same, to rounding. ``INSTRUCTIONS`` says what they are
made of: ``"AVX-512"``, ``"AVX2"``, ``"plain"`` machine code, or ``"NumPy"``. The last bits of results depend on it.
``MISSING`` says what a user should know where there is nothing; it is empty where there is something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

import numpy as np

from .parameters import Array

try:
    from .._kernels import INSTRUCTIONS as LEVELS
    from .._kernels import Bound, bind, chain, use
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

__all__ = ["INSTRUCTIONS", "KERNELS", "MISSING", "ByArray", "Call", "bind", "has", "in_turn", "nothing"]

Call = Callable[[], object]


def has(kernel: str, dtype: np.dtype) -> bool:
    """Whether `kernel` can be bound to arrays of `dtype`."""
    return dtype == np.float32 and kernel in KERNELS


def nothing() -> None:
    """There is nothing to do."""


def in_turn(calls: Iterable[Call]) -> Call:
    """A call that makes all of `calls`, one after the other. Of bound kernels that follow one another it makes one."""
    merged: list[Call] = []
    for bound, group in groupby((call for call in calls if call is not nothing), _is_bound):
        if bound:
            merged.append(chain(*group))  # type: ignore[arg-type]
        else:
            merged += group
    if len(merged) == 1:
        return merged[0]

    def run() -> None:
        for call in merged:
            call()

    return run


def _is_bound(call: Call) -> bool:
    return bool(KERNELS) and isinstance(call, Bound)


class ByArray:
    """What `bind` makes of an array is called; it is kept for a few arrays, such as versions that take turns."""

    KEPT = 4

    def __init__(self, bind: Callable[[Array], Call]) -> None:
        self._bind = bind
        self._calls: dict[int, tuple[Array, Call]] = {}  # by `id`, with the array, so that it stays its own

    def __call__(self, array: Array) -> None:
        """Run the call for `array`."""
        kept = self._calls.get(id(array))
        if kept is None:
            if len(self._calls) == self.KEPT:
                self._calls.clear()
            kept = self._calls[id(array)] = array, self._bind(array)
        kept[1]()
