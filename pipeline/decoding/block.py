"""The block: many records as arrays, which is what a decoder of records makes of bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...core.base.parameters import Array

__all__ = ["Block", "Reject"]


class Reject(NamedTuple):
    """A record that cannot be used, and why: it came before the record number `before` of its block.

    `origin` and `line` (from 1; of raw blocks the record) say where it stood, `data` is how it begins.
    """

    before: int
    origin: str
    line: int
    reason: str
    data: bytes


class Block(NamedTuple):
    """`n` records in their order, as columns; by the fields that are read.

    - ``numbers`` ``(n, F)`` float64: by `Fields.numbers`, NaN where one is missing, else finite.
    - ``categories``: for each of them the texts, None where one is missing.
    - ``labels``: the classes, None where one is missing; None where no label is read.
    - ``keys``: the texts of the keys; None where none is read.
    - ``times`` ``(n,)`` float64, in seconds since 1970 UTC; None where none is read.
    - ``rejects``: what came between them and cannot be used.
    - ``ids``: the texts of the ids; None where none is read. And then of each whether it is an ``answer`` ``(n,)``
      alone, to another record: its key, and its time, say nothing.
    - ``place``: where its source was before it, as JSON, so that it can be read again; None where it cannot.
    - ``came``: when what completed them was read, by trio's clock; NaN where that means nothing, as in a file.
    """

    size: int
    numbers: Array
    categories: list[list[str | None]]
    labels: list[str | None] | None
    keys: list[str] | None
    times: Array | None
    rejects: list[Reject]
    ids: list[str] | None = None
    answer: Array | None = None
    came: float = math.nan
    place: Mapping[str, Any] | None = None
