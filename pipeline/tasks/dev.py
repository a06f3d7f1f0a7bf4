"""What is not trained on, and is there to say how good a model is (dev)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ...core.base.checks import ArgumentError

__all__ = ["every_tenth", "with_dev"]

Row = TypeVar("Row")


def every_tenth(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The `rows` to be trained on, and every tenth one, by which the best epoch is chosen."""
    return [row for number, row in enumerate(rows, 1) if number % 10], [*rows[9::10]]


def with_dev(argument: str, rows: Sequence[Row], dev: Sequence[Row] | None) -> tuple[Sequence[Row], Sequence[Row]]:
    """The `rows` to be trained on, and `dev`: every tenth of them where it is None. Raises ArgumentError."""
    if dev is not None:
        return rows, dev
    if len(rows) < 10:
        raise ArgumentError(argument, "at least 10, of which every tenth is not trained on", len(rows))
    return every_tenth(rows)
