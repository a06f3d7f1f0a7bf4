"""What an encoder has learned up to some record: what the file of a model keeps of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base.checks import check_count, check_flag, check_number
from ..base.parameters import Array
from ..base.state import Part
from .centre import CHOSEN

__all__ = ["OF_ALL", "Learned"]

OF_ALL: dict[str, tuple[str | int, ...]] = {"mean": ("columns",), "deviation": ("columns",), "chosen": ("F", CHOSEN)}


class Learned(NamedTuple):
    """The ``mean`` and the ``deviation`` ``(columns,)`` that the record was scaled by, None where each key has its own.

    ``weight`` is that of its calendar, and ``chosen`` ``(F, 4)`` likewise what the centres of its forecasts were, see
    `recurrio.core.online.centre`.

    Of each table of categories, ``known`` values were there with it, the first ones, and ``others`` says whether there
    were more than the table has room for. ``classes`` is how many classes there were, all where there were others.
    """

    mean: Array | None
    deviation: Array | None
    chosen: Array | None
    weight: float
    known: tuple[int, ...]
    others: tuple[bool, ...]
    classes: int

    def dump(self) -> Part:
        """All of it."""
        arrays = {name: array for name in OF_ALL if (array := getattr(self, name)) is not None}
        about = {"scaled": bool(arrays), "weight": self.weight, "classes": self.classes}
        return Part(arrays, about | {"known": [*self.known], "others": [*self.others]})

    @classmethod
    def of(cls, part: Part) -> Learned:
        """What `dump` gave. Raises ArgumentError."""
        about = part.about
        scales: list[Array | None] = [None] * len(OF_ALL)
        if check_flag("scaled", about["scaled"]):
            scales = [part.array(name, shape, np.dtype(np.float64)) for name, shape in OF_ALL.items()]
        known = tuple(check_count("known", count, 0) for count in about["known"])
        others = tuple(check_flag("others", flag) for flag in about["others"])
        classes = check_count("classes", about["classes"], 0)
        weight = check_number("weight", about["weight"], 0, 1)
        return cls(scales[0], scales[1], scales[2], weight, known, others, classes)
