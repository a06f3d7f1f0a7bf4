"""Records whose labels come with them, or with later records of their keys."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...core.base.parameters import Array
from ...core.base.table import rows_of
from ...core.online.encoder import Encoder
from ..decoding.block import Block
from .course import Course
from .labels import Labelled, Labeller
from .live import Arrivals, Arrived, Truths
from .packer import Packed, Packer
from .rings import KeyOrder

__all__ = ["LabelsAtOnce"]


class LabelsAtOnce:
    """Takes records, and gives what is to be done: `Arrivals`, if it `forecasts`, and the batches of the `packer`.

    ``number`` is how many have come, ``late`` how many had a time before that of the last one of their key. For
    `max_gap` see `Labeller`.
    """

    def __init__(
        self, encoder: Encoder, packer: Packer, keys: int, *, max_gap: float | None = None, forecasts: bool = True
    ) -> None:
        self._encoder, self._packer, self._forecasts = encoder, packer, forecasts
        self._labeller = Labeller(encoder, keys, max_gap)
        self._horizons = [target.horizon for target in encoder.schema.targets] or [0]
        self._classes = encoder.known_classes if encoder.schema.label is not None else 0
        self.number = self.late = 0

    @property
    def items(self) -> int:
        """As of `LabelsLater`: a record is all that there is."""
        return self.number

    @property
    def taken(self) -> int:
        """As of `LabelsLater`."""
        return self.number

    def take(self, block: Block, given: Array, keys: Array) -> Iterator[Arrivals | Packed]:
        """The records of `block` have come, whose keys are in the rows `given` (``~row``: a new one).

        `keys` ``(n + 1,)`` is how many keys there were before them, and with each.
        """
        rows, new, packer = rows_of(given), given < 0, self._packer
        first, n = self.number, block.size
        if new.any():
            packer.begin(rows[new])
        order = KeyOrder(rows, packer.count)
        labelled = self._labeller.label(block, given, order, packer.steps)
        self.late += labelled.late
        self.number += n
        classes = self._count_classes(order.by_arrival(labelled.truth))
        size = self._encoder.compact_size
        categories = order.by_arrival(labelled.steps[:, size - len(self._encoder.categories) : size])
        scales = labelled.mean, labelled.deviation
        packer.course = Course(self._encoder, first, *scales, categories, classes, packer.course)
        arrived = None
        if self._forecasts:
            before = None if classes is None else classes[:-1]
            arrived = self._arrived(first, given, block.times, order, labelled, before)
        done = 0
        after = None if classes is None else classes[1:]
        for packed in packer.add(order, labelled.steps, keys[1:], after, 0 if math.isnan(block.came) else block.came):
            stop = packed.number + 1 - first
            if arrived is not None and stop > done:
                yield Arrivals(arrived, done, stop)
                done = stop
            yield packed
        if arrived is not None and done < n:
            yield Arrivals(arrived, done, n)

    def _arrived(
        self,
        first: int,
        given: Array,
        times: Array | None,
        order: KeyOrder,
        labelled: Labelled,
        classes: Array | None,
    ) -> Arrived:
        parts = labelled.steps, labelled.centre, labelled.scale, labelled.naive, labelled.truth
        steps, centre, scale, naive, truth = map(order.by_arrival, parts)
        compact, pos = steps[:, : self._encoder.compact_size], order.by_arrival(order.pos)
        truths = Truths(pos, truth, self._origin(order))
        return Arrived(first, given, times, None, compact, centre, scale, naive, classes, truths)

    def _origin(self, order: KeyOrder) -> Array:
        places = np.empty((len(order), len(self._horizons)), np.int64)
        for j, h in enumerate(self._horizons):
            inside = np.flatnonzero(order.rank >= h)
            places[:, j] = -1
            places[inside, j] = order.index[inside - h]
        return order.by_arrival(places)

    def _count_classes(self, truth: Array) -> Array | None:
        """How many classes there were before each record, whose own ``(n, F)`` are in the order of arrival."""
        if self._encoder.schema.label is None:
            return None
        known = classes_with(self._classes, truth)
        self._classes = int(known[-1])
        return known


def classes_with(before: int, truth: Array) -> Array:
    """How many classes there are `before` n labels ``(n, 1)``, and with each: ``(n + 1,)``."""
    known = np.concatenate(([before], np.nan_to_num(truth[:, 0] + 1))).astype(np.int64)
    found: Array = np.maximum.accumulate(known)
    return found
