"""The checks at the door: what an argument must be, and the error that says what came instead."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["ArgumentError", "check_array", "check_count", "check_dtype", "check_number", "check_tape", "count_parts"]


class ArgumentError(ValueError):
    """An argument that cannot be used. The message is ``argument: expected …, got …``, which are also attributes."""

    def __init__(self, argument: str, expected: str, got: object) -> None:
        super().__init__(f"{argument}: expected {expected}, got {got}")
        self.argument, self.expected, self.got = argument, expected, str(got)


def check_count(argument: str, value: Any, least: int = 1) -> None:  # noqa: ANN401 (anything may come)
    """Raise ArgumentError unless `value` is a whole number of at least `least`."""
    if type(value) is not int or value < least:
        raise ArgumentError(argument, f"a whole number of at least {least}", repr(value))


def check_number(argument: str, value: float, low: float, high: float = math.inf, *, open_low: bool = False) -> None:
    """Raise ArgumentError unless `value` is finite and in ``[low, high]``; with `open_low`, above `low`."""
    fits = isinstance(value, int | float | np.number) and math.isfinite(value)
    if not fits or value > high or value < low or (open_low and value == low):
        least = f"above {low}" if open_low else f"of at least {low}"
        most = "" if high == math.inf else f" and at most {high}"
        raise ArgumentError(argument, f"a finite number {least}{most}", repr(value))


def check_dtype(value: DTypeLike) -> np.dtype:
    """The dtype that `value` names: ``"float32"``, ``np.float64`` and the like. Raises ArgumentError for any other."""
    with suppress(TypeError, ValueError):
        dtype = np.dtype(value)
        if value is not None and dtype in (np.float32, np.float64):
            return dtype
    raise ArgumentError("dtype", "float32 or float64", repr(value))


def check_tape(tape: object, kind: type) -> None:
    """Raise ArgumentError unless `tape` is of the `kind` that a forward pass returns."""
    if not isinstance(tape, kind):
        raise ArgumentError("tape", "what forward returned", type(tape).__name__)


def count_parts(value: object) -> str:
    """What came in place of a tuple or list of another length: its type and length, or the type of anything else."""
    name = type(value).__name__
    return f"a {name} of {len(value)}" if isinstance(value, tuple | list) else name


def check_array(argument: str, value: object, shape: tuple[int | str, ...], dtype: np.dtype | None = None) -> None:
    """Raise ArgumentError unless `value` is an array of `shape`, and of `dtype` where that is given.

    A letter in `shape` stands for any length; the same letter twice for the same length; ``"…"`` in front for any axes.
    """
    hint = ""
    if isinstance(value, np.ndarray) and _fits(value.shape, shape):
        if dtype is None or value.dtype == dtype:
            return
        if {value.dtype.name, dtype.name} == {"float32", "float64"}:
            hint = f" ({argument}.astype('{dtype}'), or a layer with dtype='{value.dtype}')"
    wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise ArgumentError(argument, f"an array {wanted}" if dtype is None else f"a {dtype} array {wanted}", got + hint)


def _fits(actual: tuple[int, ...], shape: tuple[int | str, ...]) -> bool:
    if shape[:1] == ("…",):
        shape, actual = shape[1:], actual[len(actual) - len(shape) + 1 :]
    if len(shape) != len(actual):
        return False
    lengths: dict[str, int] = {}
    for wanted, length in zip(shape, actual, strict=True):
        if (lengths.setdefault(wanted, length) if isinstance(wanted, str) else wanted) != length:
            return False
    return True
