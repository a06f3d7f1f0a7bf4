"""Records whose labels come with them, or with later records of their keys."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...core.base.checks import check_count, check_flag
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.base.table import rows_of
from ...core.online.encoder import Encoder
from ...core.online.learned import Learned
from ..decoding.block import Block
from .chunks import Packed
from .course import Course
from .labels import Labeller
from .live import Arrivals, Arrived, Truths
from .packer import Packer, Plan
from .rings import KeyOrder, Ring
from .supposed import Supposed, first_of

__all__ = ["LabelsAtOnce"]


class LabelsAtOnce:
    """Takes records, and gives what is to be done: `Arrivals`, if it `forecasts`, and the batches of the `packer`.

    ``number`` is how many have come, ``late`` how many had a time before that of the last one of their key. For
    `max_gap` and `season` see `Labeller`.
    """

    def __init__(
        self,
        encoder: Encoder,
        packer: Packer,
        keys: int,
        *,
        max_gap: float | None = None,
        season: float | None = None,
        forecasts: bool = True,
    ) -> None:
        self._encoder, self._packer, self._forecasts = encoder, packer, forecasts
        self._labeller = Labeller(encoder, keys, max_gap, season)
        self._horizons = [target.horizon for target in encoder.schema.targets] or [0]
        self._is_class = encoder.schema.label is not None
        self._classes = encoder.known_classes if self._is_class else 0
        self.number = self.late = 0

    @property
    def items(self) -> int:
        """As of `LabelsLater`: a record is all that there is."""
        return self.number

    @property
    def taken(self) -> int:
        """As of `LabelsLater`."""
        return self.number

    def plan(self, given: Array, keys: Array) -> Plan:
        """What records will make whose keys are in the rows `given` (``~row``: a new one).

        `keys` ``(n + 1,)`` is how many keys there were before them, and with each.
        """
        return self._packer.plan(KeyOrder(rows_of(given), self._packer.count), keys[1:])

    def take(self, block: Block, given: Array, plan: Plan) -> Iterator[Arrivals | Packed]:
        """The records of `block` have come, for which there is a `plan`."""
        packer, order = self._packer, plan.order
        first, n = self.number, block.size
        labelled = self._labeller.label(block, given, order, packer.steps)
        self.late += labelled.late
        self.number += n
        size, count = self._encoder.compact_size, len(self._encoder.categories)
        truth = order.by_arrival(labelled.truth) if self._forecasts or self._is_class else labelled.truth
        compact = order.by_arrival(labelled.steps[:, :size]) if self._forecasts or count else labelled.steps[:, :size]
        classes = None
        if self._is_class:
            classes = classes_with(self._classes, truth)
            self._classes = int(classes[-1])
        packer.course = Course(
            self._encoder, first, labelled.scales, compact[:, size - count :], classes, packer.course
        )
        arrived = None
        if self._forecasts:
            before = None if classes is None else classes[:-1]
            centre, scale, naive = map(order.by_arrival, (labelled.centre, labelled.scale, labelled.naive))
            truths = Truths(order.by_arrival(order.pos), truth, self._origin(order))
            forecast = compact, centre, scale, naive, before, truths
            arrived = Arrived(first, given, block.times, None, *forecast)
        done = 0
        after = None if classes is None else classes[1:]
        for packed in packer.add(plan, labelled.steps, after, 0 if math.isnan(block.came) else block.came):
            stop = packed.number + 1 - first
            if arrived is not None and stop > done:
                yield Arrivals(arrived, done, stop)
                done = stop
            yield packed
        if arrived is not None and done < n:
            yield Arrivals(arrived, done, n)

    def suppose(self, block: Block, rows: Array, places: Array) -> Supposed:
        """What the records of `block` would be if they came next, of the keys in `rows`: see `Supposed`."""
        encoder = self._encoder.take(rows)
        count = np.where(rows >= 0, self._packer.count[rows], 0)
        given = first_of(places, rows >= 0)
        order = KeyOrder(places, count)
        steps = Ring(len(rows), 1, (encoder.compact_size + len(self._horizons),), "float32")
        labelled = self._labeller.take(encoder, rows).label(block, given, order, steps)
        compact = order.by_arrival(labelled.steps[:, : encoder.compact_size])
        centre, scale = map(order.by_arrival, (labelled.centre, labelled.scale))
        classes = np.full(len(places), self._classes) if self._is_class else None
        return Supposed(compact, centre, scale, classes, given)

    def _origin(self, order: KeyOrder) -> Array:
        places = np.empty((len(order), len(self._horizons)), np.int64)
        for j, h in enumerate(self._horizons):
            inside = np.flatnonzero(order.rank >= h)
            places[:, j] = -1
            places[inside, j] = order.index[inside - h]
        return order.by_arrival(places)

    def dump(self, rows: int) -> Part:
        """What it keeps, of the first `rows` of the table."""
        course = self._packer.course
        learned = {} if course is None else {"learned": course.at(self.number - 1).dump()}
        about = {"number": self.number, "late": self.late, "classes": self._classes, "begun": course is not None}
        return Part.of(about, labels=self._labeller.dump(rows), **learned)

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self._labeller.load(part.part("labels"), rows)
        names = ("number", "late", "classes")
        self.number, self.late, self._classes = (check_count(name, part.about.get(name), 0) for name in names)
        if check_flag("begun", part.about["begun"]):
            learned = Learned.of(part.part("learned"))
            self._packer.course = Course.of(self._encoder, self.number - 1, learned)


def classes_with(before: int, truth: Array) -> Array:
    """How many classes there are `before` n labels ``(n, 1)``, and with each: ``(n + 1,)``."""
    known = np.concatenate(([before], np.nan_to_num(truth[:, 0] + 1))).astype(np.int64)
    found: Array = np.maximum.accumulate(known)
    return found
