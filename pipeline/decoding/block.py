"""The block: many records as arrays, which is what a decoder of records makes of bytes."""

from __future__ import annotations

from typing import NamedTuple

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
    """`n` records in their order, as columns; the fields are those of a `recurrio.core.online.Schema`.

    - ``numbers`` ``(n, F)`` float64: by ``schema.numbers``, NaN where one is missing, else finite.
    - ``categories``: for each of ``schema.categories`` the texts, None where one is missing.
    - ``labels``: the classes, None where one is missing; None where the schema has no label.
    - ``keys``: the texts of the keys; None where the schema has none.
    - ``times`` ``(n,)`` float64, in seconds since 1970 UTC; None where the schema has none.
    - ``rejects``: what came between them and cannot be used.
    """

    size: int
    numbers: Array
    categories: list[list[str | None]]
    labels: list[str | None] | None
    keys: list[str] | None
    times: Array | None
    rejects: list[Reject]
