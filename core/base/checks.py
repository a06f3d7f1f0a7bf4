"""The checks at the door: what an argument must be, and the error that says what came instead."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

__all__ = [
    "ArgumentError",
    "check_array",
    "check_count",
    "check_dtype",
    "check_flag",
    "check_number",
    "check_tape",
    "check_unmasked",
    "count_parts",
    "kind_of",
]


class ArgumentError(ValueError):
    """An argument that cannot be used. The message is ``argument: expected …, got …``, which are also attributes."""

    def __init__(self, argument: str, expected: str, got: object) -> None:
        super().__init__(f"{argument}: expected {expected}, got {got}")
        self.argument, self.expected, self.got = argument, expected, str(got)

    def __reduce__(self) -> tuple[type[ArgumentError], tuple[str, str, str]]:
        """So that it comes out of a process as it is."""
        return type(self), (self.argument, self.expected, self.got)


def _plain(value: Any) -> Any:  # noqa: ANN401 (anything may come)
    """Python's number in the place of a NumPy scalar, or of an array without axes; anything else as it is.

    A NumPy scalar that gets in would give float32 arithmetic its own, wider type, and JSON does not know it.
    """
    if not isinstance(value, np.generic | np.ndarray) or value.ndim or isinstance(value, np.ma.MaskedArray):
        return value
    kind = value.dtype.kind  # of a duration, say, `int` would be a number too
    return bool(value) if kind == "b" else int(value) if kind in "iu" else float(value) if kind == "f" else value


def check_count(argument: str, value: Any, least: int | None = 1, most: int | None = None) -> int:  # noqa: ANN401 (as above)
    """`value` as Python's int. Raises ArgumentError unless it is a whole number, no bool, from `least` to `most`."""
    number = _plain(value)
    whole = isinstance(number, int) and not isinstance(number, bool)
    if not whole or (least is not None and number < least) or (most is not None and number > most):
        low = "" if least is None else f" of at least {least}" if most is None else f" from {least} to {most}"
        raise ArgumentError(argument, f"a whole number{low}", repr(value))
    return int(number)


def check_number(
    argument: str,
    value: Any,  # noqa: ANN401 (as above)
    low: float,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """`value` as Python's float. Raises ArgumentError unless it is finite, no bool, and in ``[low, high]``.

    With `open_low` it must be above `low`, with `open_high` below `high`.
    """
    plain, number = _plain(value), math.nan
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        with suppress(OverflowError):  # of an int that no float can hold
            number = float(plain)
    too_low = number <= low if open_low else number < low
    too_high = number >= high if open_high else number > high
    if math.isfinite(number) and not too_low and not too_high:
        return number
    least = f"above {low}" if open_low else f"of at least {low}"
    most = "" if high == math.inf else f" and {'below' if open_high else 'at most'} {high}"
    raise ArgumentError(argument, f"a finite number {least}{most}", repr(value))


def check_flag(argument: str, value: Any) -> bool:  # noqa: ANN401 (anything may come)
    """`value` as Python's bool. Raises ArgumentError unless it is True or False."""
    flag = _plain(value)
    if not isinstance(flag, bool):
        raise ArgumentError(argument, "True or False", repr(value))
    return flag


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


def kind_of(value: object) -> str:
    """What came in the place of an array: dtype and shape, or the type of what is none."""
    if isinstance(value, np.ma.MaskedArray):
        return f"a masked array {value.dtype} {value.shape}"
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def check_unmasked(argument: str, value: object) -> None:
    """Raise ArgumentError where `value` is a masked array: computing with what is under it would lose its mask."""
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(
            argument,
            "an array without a mask, which would be lost",
            f"{kind_of(value)} ({argument}.filled(…) says what stands in the gaps; `mask` or `lengths` leave them out)",
        )


def check_array(argument: str, value: object, shape: tuple[int | str, ...], dtype: np.dtype | None = None) -> None:
    """Raise ArgumentError unless `value` is an array of `shape`, and of `dtype` where that is given.

    A letter in `shape` stands for any length; the same letter twice for the same length; ``"…"`` in front for any axes.
    """
    if type(value) is not np.ndarray:
        check_unmasked(argument, value)
    hint = ""
    if isinstance(value, np.ndarray) and _fits(value.shape, shape):
        if dtype is None or value.dtype == dtype:
            return
        if {value.dtype.name, dtype.name} == {"float32", "float64"}:
            hint = f" ({argument}.astype('{dtype}'), or a layer with dtype='{value.dtype}')"
    wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    expected = f"an array {wanted}" if dtype is None else f"a {dtype} array {wanted}"
    raise ArgumentError(argument, expected, kind_of(value) + hint)


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
