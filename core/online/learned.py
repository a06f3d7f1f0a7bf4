"""What an encoder has learned up to some record: what the file of a model keeps of it."""

from __future__ import annotations

from typing import NamedTuple

from ..base.parameters import Array

__all__ = ["Learned"]


class Learned(NamedTuple):
    """The ``mean`` and the ``deviation`` ``(columns,)`` that the record was scaled by, None where each key has its own.

    Of each table of categories, ``known`` values were there with it, the first ones, and ``others`` says whether there
    were more than the table has room for. ``classes`` is how many classes there were, all where there were others.
    """

    mean: Array | None
    deviation: Array | None
    known: tuple[int, ...]
    others: tuple[bool, ...]
    classes: int
