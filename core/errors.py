"""The checks at the door: what an argument must be, and the error that says what came instead."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["ArgumentError", "check_array", "check_count", "check_number"]


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


def check_array(argument: str, value: object, shape: tuple[int | str, ...], dtype: np.dtype | None = None) -> None:
    """Raise ArgumentError unless `value` is an array of `shape`, and of `dtype` where that is given.

    A letter in `shape` stands for any length; the same letter twice for the same length.
    """
    if isinstance(value, np.ndarray) and value.ndim == len(shape) and (dtype is None or value.dtype == dtype):
        lengths: dict[str, int] = {}
        for length, actual in zip(shape, value.shape, strict=True):
            if (lengths.setdefault(length, actual) if isinstance(length, str) else length) != actual:
                break
        else:
            return
    wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise ArgumentError(argument, f"an array {wanted}" if dtype is None else f"a {dtype} array {wanted}", got)
