"""What an encoder has learned up to some record: what the file of a model keeps of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base.checks import check_count, check_flag
from ..base.parameters import Array
from ..base.state import Part

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

    def dump(self) -> Part:
        """All of it."""
        scales = {"mean": self.mean, "deviation": self.deviation}
        arrays = {name: array for name, array in scales.items() if array is not None}
        return Part(
            arrays, {"scaled": bool(arrays), "known": [*self.known], "others": [*self.others], "classes": self.classes}
        )

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
        return cls(scales[0], scales[1], known, others, classes)
