"""What an encoder has learned up to some record: what the file of a model keeps of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base.checks import check_count, check_flag, check_number
from ..base.parameters import Array
from ..base.state import Part

__all__ = ["Learned"]


class Learned(NamedTuple):
    """The ``mean`` and the ``deviation`` ``(columns,)`` that the record was scaled by, None where each key has its own.

    ``weight`` is that of its calendar.

    Of each table of categories, ``known`` values were there with it, the first ones, and ``others`` says whether there
    were more than the table has room for. ``classes`` is how many classes there were, all where there were others.
    """

    mean: Array | None
    deviation: Array | None
    weight: float
    known: tuple[int, ...]
    others: tuple[bool, ...]
    classes: int

    def dump(self) -> Part:
        """All of it."""
        scales = {"mean": self.mean, "deviation": self.deviation}
        arrays = {name: array for name, array in scales.items() if array is not None}
        about = {"scaled": bool(arrays), "weight": self.weight, "classes": self.classes}
        return Part(arrays, about | {"known": [*self.known], "others": [*self.others]})

    @classmethod
    def of(cls, part: Part) -> Learned:
        """What `dump` gave. Raises ArgumentError."""
        about = part.about
        scales: list[Array | None] = [None, None]
        if check_flag("scaled", about["scaled"]):
            scales = [part.array(name, ("columns",), np.dtype(np.float64)) for name in ("mean", "deviation")]
        known = tuple(check_count("known", count, 0) for count in about["known"])
        others = tuple(check_flag("others", flag) for flag in about["others"])
        classes = check_count("classes", about["classes"], 0)
        weight = check_number("weight", about["weight"], 0, 1)
        return cls(scales[0], scales[1], weight, known, others, classes)
