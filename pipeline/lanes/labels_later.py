"""Records whose labels come later, in records of their own.

A record is forecast as it comes, and scaled by what came before it. Then it waits: it is trained on when its label is
there, behind the earlier records of its key. What is learned of labels, the scales of targets and the classes, is
learned as they come; the naive forecast is the last label that had come for the key by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...core.base.checks import check_count, check_flag
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.base.table import rows_of
from ...core.online.categories import MISSING
from ...core.online.encoder import Encoder
from ...core.online.learned import Learned
from ...core.online.standardise import scaled
from ..decoding.block import Block
from ..decoding.columns import select
from .chunks import Packed
from .course import Course
from .foresight import Foresight
from .labels import IGNORED
from .labels_at_once import classes_with
from .live import Arrivals, Arrived, LateTruths
from .matched import Labels, Matched
from .packer import Packer
from .rings import KeyOrder, carried, grown
from .supposed import Supposed, first_of
from .time_steps import TimeSteps, logarithm
from .waiting import Answer, Waiting

__all__ = ["LabelsLater"]

NUMBERS = ("number", "items", "taken", "late")


class LabelsLater:
    """Takes records and labels, and gives what is to be done: `Arrivals`, if it `forecasts`, and batches.

    ``number`` is how many records have come, ``items`` how many records and labels, ``taken`` how many records and
    labels of records that waited, ``late`` how many records had a time before that of the last one of their key. Up to
    `most` records wait, and as many labels: see `Waiting`.
    """

    def __init__(self, encoder: Encoder, packer: Packer, keys: int, most: int, *, forecasts: bool = True) -> None:
        schema = encoder.schema
        self._encoder, self._packer, self._forecasts = encoder, packer, forecasts
        self._is_class, self._width = schema.label is not None, len(schema.targets) or 1
        self._inputs = encoder.fields - len(schema.targets)  # numbers that are no targets
        self._times = None if schema.time is None else TimeSteps(keys)
        self._count = np.zeros(keys, np.int64)  # records of each key
        self._last = np.full((keys, self._width), np.nan)  # its last label
        self._classes = encoder.known_classes if self._is_class else 0
        self.waiting = Waiting(most)
        self._kept = np.zeros((0, encoder.compact_size + self._width), np.float32)  # by slot, and so are these:
        self._scales = np.zeros((0, 2, self._width))  # centre and scale
        self._came = np.zeros(0)  # when its label did, 0: unknown
        self.number = self.items = self.taken = self.late = 0
        times = None if self._times is None else np.zeros(0)
        self._nothing = Block(0, np.zeros((0, self._inputs)), [[] for _ in schema.categories], None, [], times, [], [])
        self._unknown = IGNORED if self._is_class else np.nan

    def divide(self, block: Block) -> tuple[Block, Labels]:
        """The records of `block`, which may have come in with the inputs, with the labels, or with both; and labels."""
        answer, ids = block.answer, block.ids
        assert answer is not None
        assert ids is not None
        places = np.flatnonzero(answer)
        if not len(places):
            return block, Labels([], [], [])
        alone = select(block, places)
        inputs = alone.numbers.shape[1] - len(self._encoder.schema.targets)
        if len(places) < block.size:
            records = select(block, np.flatnonzero(~answer))
        else:
            records = self._nothing._replace(came=block.came)
        at = (places - np.arange(len(places))).tolist()
        return records, Labels(at, alone.ids or [], _all_answers(alone, inputs))

    def take(self, block: Block, given: Array, keys: Array, items: Matched) -> Iterator[Arrivals | Packed]:
        """The records of `block` have come, whose keys are in the rows `given` (``~row``: a new one), and labels.

        `keys` ``(n + 1,)`` is how many keys there were before them, and with each; `items` are what `match` gave.
        """
        fresh, n = rows_of(given[given < 0]), block.size
        self.items += items.came + items.came_labels
        self._count[fresh] = 0
        self._last[fresh] = np.nan
        if not items.rows:
            return
        arrived, classes = self._learn(block, given, items)
        first, start = self.taken, self._packer.number
        self.taken += len(items.rows)
        self.number += n
        done = told = 0  # records and labels
        if items.gone:
            at = np.array(items.at)
            come, labelled = (np.searchsorted(part, at, side="right") for part in (items.records, items.labels))
            found = self._let_go(items.gone, keys[come], None if classes is None else classes[at + 1])
            for packed in found:
                item, stop, label = (int(part[packed.number - start]) for part in (at, come, labelled))
                if self._forecasts and (stop, label) != (done, told):
                    yield Arrivals(arrived, done, stop, label)
                    done, told = stop, label
                yield packed._replace(number=first + item)
        if self._forecasts and (n, len(items.labels)) != (done, told):
            yield Arrivals(arrived, done, n, len(items.labels))

    def release(self, rows: Array, keys: int) -> Iterator[Packed]:
        """The keys in `rows` go, of the `keys` that there are; of their records those that wait are trained on."""
        gone = [slot for row in rows.tolist() for slot in self.waiting.leave(row)]
        return self._give_up(gone, keys)

    def give_up(self, before: int, keys: int) -> Iterator[Packed]:
        """Nothing waits any longer that came before the item `before`."""
        return self._give_up(self.waiting.give_up(before), keys)

    def _give_up(self, gone: list[int], keys: int) -> Iterator[Packed]:
        if gone:
            count = np.full(len(gone), self._classes) if self._is_class else None
            for packed in self._let_go(gone, np.full(len(gone), keys), count):
                yield packed._replace(number=self.taken - 1)

    def _let_go(self, slots: list[int], keys: Array, classes: Array | None) -> Iterator[Packed]:
        packer, start = self._packer, 0
        while start < len(slots):
            stop = start + packer.steady(keys[start:])
            now = np.array(slots[start:stop])
            order = KeyOrder(np.array([self.waiting.row(slot) for slot in slots[start:stop]]), packer.count)
            plan, kept = packer.plan(order, keys[start:stop]), now[order.index]
            known = None if classes is None else classes[start:stop]
            yield from packer.add(plan, self._kept[kept], known, self._came[kept])
            start = stop

    def match(self, block: Block, given: Array, keys: Array, labels: Labels, batches: int | None = None) -> Matched:
        """Who waits for what, item after item: the first part of what is to be done with these arguments of `take`.

        Up to the item that lets the packer make so many `batches`: the others are to come again.
        """
        self.waiting.recycle()
        items, waiting, label, n, number = Matched(), self.waiting, 0, block.size, self.items
        foresight = None if batches is None else Foresight(self._packer)
        own, ids = _answers(block, self._inputs), block.ids
        assert ids is not None
        told = 0  # slots that were let go

        def enough(foresight: Foresight, records: int) -> bool:
            nonlocal told
            for slot in items.gone[told:]:
                foresight.add(waiting.row(slot), int(keys[records]))
            told = len(items.gone)
            return batches is not None and foresight.batches >= batches

        for index, row in enumerate([*rows_of(given).tolist(), -1]):
            while label < len(labels.at) and (index == n or labels.at[label] <= index):
                answer = labels.answers[label]
                slot = waiting.find(labels.ids[label], number, answer)
                number += 1
                label += 1
                items.came_labels = label
                if slot >= 0:
                    items.label(slot, answer, waiting)
                if foresight is not None and enough(foresight, index):
                    return items
            if index < n:
                mine = own[index]
                slot, early, gone = waiting.add(ids[index], row, number, complete=mine is not None)
                number += 1
                items.came += 1
                items.record(row, slot, gone)
                if (first := mine if early is None else early) is not None:
                    items.label(slot, first, waiting)
                if foresight is not None and enough(foresight, index + 1):
                    return items
        return items

    def _learn(self, block: Block, given: Array, items: Matched) -> tuple[Arrived, Array | None]:
        """Take in these records and labels, which are kept in their slots.

        And how many classes ``(items + 1,)`` there were before them, and with each.
        """
        encoder, width, size = self._encoder, self._width, self._encoder.compact_size
        records, labels = np.array(items.records, np.int64), np.array(items.labels, np.int64)
        rows, slots, of = np.array(items.rows, np.int64), np.array(items.slots, np.int64), np.array(items.of, np.int64)
        answers = items.answers
        known = [None if answer[0] is None else str(answer[0]) for answer in answers] if self._is_class else []
        truth = encoder.class_numbers(known) if self._is_class else np.array(answers, np.float64)
        truth = truth.reshape(-1, width)
        now = np.full((len(rows), width), np.nan)
        now[labels] = truth
        order = KeyOrder(rows, self._count)
        last = carried(order, now[order.index], self._last[order.rows])
        self._last[order.keys] = last[order.ends - 1]
        naive = order.by_arrival(last)[records, :, None]

        values, where = np.full((len(rows), encoder.columns), np.nan), rows.copy()
        values[records, : self._inputs], where[records] = block.numbers[:, : self._inputs], given
        if not self._is_class:
            values[labels[:, None], encoder.places] = truth
        if self._times is not None and len(records):
            assert block.times is not None
            by_key = KeyOrder(rows[records], self._count)
            step = self._times.steps(block.times, by_key)
            values[records[by_key.index], encoder.fields] = logarithm(step)
            self.late += int(np.count_nonzero(step < 0))
            self._count[by_key.keys] += by_key.sizes
        learned = encoder.scale(values, where)
        of_records = learned.take(records)
        compact = encoder.compact(values[records], of_records, encoder.days(block.times), block.categories)
        scales = np.zeros((len(records), 2, width))
        scales[:, 1] = 1
        if not self._is_class:
            scales[:, 0], scales[:, 1] = (part[:, encoder.places] for part in of_records[:2])

        self._kept, self._scales = grown(self._kept, self.waiting.slots), grown(self._scales, self.waiting.slots)
        self._kept[slots, :size], self._kept[slots, size:], self._scales[slots] = compact, self._unknown, scales
        self._came = grown(self._came, self.waiting.slots)
        self._came[slots] = 0
        self._came[of] = np.nan_to_num(block.came)
        target = truth if self._is_class else scaled(truth, self._scales[of, 0], self._scales[of, 1], encoder.clip)
        self._kept[of, size:] = np.where(np.isnan(target), self._unknown, target)

        classes = None
        if self._is_class:
            classes = classes_with(self._classes, now)
            self._classes = int(classes[-1])
        count = len(encoder.categories)
        categories = np.full((len(rows), count), MISSING)
        categories[records] = compact[:, size - count :]
        self._packer.course = Course(encoder, self.taken, learned, categories, classes, self._packer.course)
        before = None if classes is None else classes[:-1][records]
        truths = LateTruths(slots, of, rows[labels], truth, np.searchsorted(records, labels))
        forecast = compact, scales[:, 0], scales[:, 1], naive, before
        return Arrived(self.number, given, block.times, block.ids, *forecast, truths), classes

    def suppose(self, block: Block, rows: Array, places: Array) -> Supposed:
        """As of `LabelsAtOnce`."""
        encoder, n = self._encoder.take(rows), block.size
        count = np.where(rows >= 0, self._count[rows], 0)
        given = first_of(places, rows >= 0)
        values = np.full((n, encoder.columns), np.nan)
        values[:, : self._inputs] = block.numbers[:, : self._inputs]
        if self._times is not None and block.times is not None:
            order = KeyOrder(places, count)
            values[order.index, encoder.fields] = logarithm(self._times.take(rows).steps(block.times, order))
        scales = encoder.scale(values, given)._replace(weight=np.ones(n))
        compact = encoder.compact(values, scales, encoder.days(block.times), block.categories)
        if self._is_class:
            zeros = np.zeros((n, self._width))
            return Supposed(compact, zeros, zeros + 1, np.full(n, self._classes), given)
        centre, scale = (part[:, encoder.places] for part in scales[:2])
        return Supposed(compact, centre, scale, None, given)

    def dump(self, rows: int) -> Part:
        """What it keeps, of the first `rows` of the table. When labels came is not written."""
        slots, course = self.waiting.live(), self._packer.course
        arrays = {"count": self._count[:rows].copy(), "last": self._last[:rows].copy()}
        arrays |= {"kept": self._kept[slots], "scales": self._scales[slots]}
        if self._times is not None:
            arrays["times"] = self._times.dump(rows)
        about = {name: getattr(self, name) for name in NUMBERS}
        about |= {"classes": self._classes, "begun": course is not None}
        learned = {} if course is None else {"learned": course.at(self.taken - 1).dump()}
        parts = Part.of(waiting=self.waiting.dump(), **learned)
        return Part(arrays | parts.arrays, about | parts.about)

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self.waiting.load(part.part("waiting"), rows)
        slots = self.waiting.slots
        for name, table in (("count", self._count), ("last", self._last)):
            table[:rows] = part.array(name, (rows, *table.shape[1:]), table.dtype)
        self._kept = part.array("kept", (slots, self._kept.shape[1]), self._kept.dtype).copy()
        self._scales = part.array("scales", (slots, *self._scales.shape[1:]), self._scales.dtype).copy()
        self._came = np.zeros(slots)
        if self._times is not None:
            self._times.load(part, "times", rows)
        for name in NUMBERS:
            setattr(self, name, check_count(name, part.about.get(name), 0))
        self._classes = check_count("classes", part.about.get("classes"), 0)
        if check_flag("begun", part.about["begun"]):
            learned = Learned.of(part.part("learned"))
            self._packer.course = Course.of(self._encoder, self.taken - 1, learned)


def _answers(block: Block, inputs: int) -> Sequence[Answer | None]:
    """What the records of `block`, with so many numbers that are inputs, say of themselves; None where nothing."""
    found = _all_answers(block, inputs)
    if not found:
        return [None] * block.size
    return [None if all(value is None or value != value for value in answer) else answer for answer in found]


def _all_answers(block: Block, inputs: int) -> list[Answer]:
    """The answers in `block`, whose first `inputs` numbers are none; none at all where none are read."""
    if block.labels is not None:
        return [[text] for text in block.labels]
    return [] if block.numbers.shape[1] == inputs else block.numbers[:, inputs:].tolist()
