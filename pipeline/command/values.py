"""What the values of options may be: parsers for argparse, and what becomes of them."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

__all__ = [
    "duration",
    "every",
    "every_or_none",
    "fields_of",
    "names",
    "number",
    "number_or_none",
    "size",
    "temperature",
    "whole",
]

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def whole(least: int) -> Callable[[str], int]:
    """A whole number of at least `least`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return value

    return parse


def number(text: str, *, zero: bool = False) -> float:
    """A finite number above 0, or with `zero` of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        least = "of at least 0" if zero else "above 0"
        raise argparse.ArgumentTypeError(f"expected a finite number {least}, got {text!r}")
    return value


def number_or_none(text: str) -> float | None:
    """The same, or ``none``."""
    return None if text == "none" else number(text)


def temperature(text: str) -> float:
    """A number of at least 0."""
    return number(text, zero=True)


def duration(text: str) -> float:
    """Seconds, from ``50ms``, ``10s``, ``5m``, ``2h``, ``1d``, ``1w`` or a bare number of seconds."""
    found = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|s|m|h|d|w)?", text)
    value = float(found[1]) * UNITS[found[2] or "s"] if found else 0.0
    if not value > 0 or not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a time above 0, as 50ms, 10s, 5m, 2h or 1d, got {text!r}")
    return value


def every(text: str) -> float:
    """A whole number of batches, or, as a float, a duration in seconds."""
    if text.isascii() and text.isdigit():
        return whole(1)(text)
    return duration(text)


def every_or_none(text: str) -> float | None:
    """The same, or ``none``."""
    return None if text == "none" else every(text)


def size(text: str) -> int:
    """Bytes, from ``500``, ``64k``, ``10M`` or ``1G``, in steps of 1024."""
    found = re.fullmatch(r"([0-9]+)([kKMG]?)B?", text)
    value = int(found[1]) << 10 * "_KMG".index(found[2].upper() or "_") if found else 0
    if not value:
        raise argparse.ArgumentTypeError(f"expected a size above 0, as 64k, 10M or 1G, got {text!r}")
    return value


def names(text: str) -> tuple[str, ...]:
    """Texts with a comma between."""
    return tuple(text.split(","))


def fields_of(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Of what is `given`, the fields of the dataclass `kind`; None is not given."""
    names = [field.name for field in fields(kind)]
    return {name: given[name] for name in names if given.get(name) is not None}
