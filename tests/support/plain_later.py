"""Records whose labels come later, one item after the other: the oracle of `LabelsLater`."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.plain_records import IGNORED, NAN, PlainKey, PlainLanes

Record = dict[str, Any]


class PlainLater(PlainLanes):
    """As `PlainLanes`, but a record comes with `feed_later`, its label with `label`, and `most` records wait.

    ``truths`` are the numbers of records, and what came true of them. `number` counts the records that were let go, in
    the order of which chunks are made; `arrived` those that came, and `taken` labels of theirs too.
    """

    def __init__(self, schema: Any, *, most: int, **sizes: Any) -> None:  # noqa: ANN401
        super().__init__(schema, **sizes)
        self.most = most
        self.arrived = self.taken = self.items = self.known_classes = 0
        self.held: list[Record] = []  # all that are there, in the order in which they came
        self.early: dict[str, tuple[int, list[Any]]] = {}
        self.last: dict[int, list[float]] = {}  # of each row
        self.truths: list[tuple[int, list[float]]] = []
        self.over: dict[str, tuple[int, bool]] = {}  # ids, since when, and whether their label came
        self.now = 0  # items so far
        self.counts = dict.fromkeys(("received", "matched", "twice", "late", "unmatched", "given_up"), 0)

    @property
    def told(self) -> int:
        return len(self.truths)

    @property
    def stamp(self) -> int:
        return self.taken - 1

    def feed_later(self, name: str, id: str, numbers: list[float], time: float | None, own: list[Any] | None) -> None:
        self._make_room(name)
        self.now = self.items + 1
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = PlainKey(self.free[self._shard(name)].pop(0))
            self.last[key.row] = [NAN] * self._width
            key.known = []  # the time of the last record
        key.used = self.arrived
        item, self.items = self.items, self.items + 1
        self.taken += 1
        record = self._scaled(key, numbers, time) | {"id": id, "item": item, "key": key, "over": False}
        record["number"] = self.arrived
        self.arrived += 1
        arrive = [record[part] for part in ("centre", "scale", "naive", "compact")]
        self.events.append(("arrive", record["number"], *arrive))
        for other in [held for held in self.held if held["id"] == id and not held["over"]]:
            self._give_up(other)
        while len(self.held) >= self.most:
            self._give_up(next(held for held in self.held if not held["over"]))
        self.over.pop(id, None)
        self.held.append(record)
        early = self.early.pop(id, None)
        self.counts["received"] += own is not None
        self.counts["twice"] += own is not None and early is not None
        answer = early[1] if early is not None else own
        if answer is not None:
            self._answer(record, answer)
        if self.arrived % self.patience == 0:
            self.cut(self.number - max(self.patience, 4 * self.T * len(self.keys)))

    def label(self, id: str, answer: list[Any]) -> None:
        self.counts["received"] += 1
        self.now = self.items + 1
        record = next((held for held in self.held if held["id"] == id and not held["over"]), None)
        if record is not None:
            self._answer(record, answer)
        elif id in self.over or id in self.early:
            self.counts["twice" if id in self.early or self.over[id][1] else "late"] += 1
        else:
            if len(self.early) == self.most:
                del self.early[next(iter(self.early))]
                self.counts["unmatched"] += 1
            self.early[id] = self.items, answer
        self.items += 1

    def give_up(self, before: int) -> None:
        for record in [held for held in self.held if held["item"] < before and not held["over"]]:
            self._give_up(record)
        for id in [id for id, (item, _) in self.early.items() if item < before]:
            del self.early[id]
            self.counts["unmatched"] += 1
        for id in [id for id, (item, _) in self.over.items() if item < before]:
            del self.over[id]

    def finish(self) -> None:
        self.give_up(self.items)
        super().finish()

    @property
    def _width(self) -> int:
        return len(self.schema.targets) or 1

    def _scaled(self, key: PlainKey, numbers: list[float], time: float | None) -> Record:
        encoder, values = self.encoder, [*numbers, *[NAN] * len(self.schema.targets)]
        if time is not None:
            step = NAN if not key.known else min(max(time - key.known[0], 0.0), 30 * 86400.0)
            values.append(float(np.log1p(step)))
            key.known = [time]
        array = np.array([values])
        scales = encoder.scale(array, np.array([~key.row if key.count == 0 and not key.records else key.row]))
        compact = encoder.compact(array, scales, None if time is None else encoder.days(np.array([time])), [])[0]
        mean = scales.mean[0]  # which never is of its own answer, that comes later
        centre, scale = self._forecast(
            [NAN], [1.0], [mean[place] for place in encoder.places], mean, scales.deviation[0]
        )
        target = [IGNORED if self.schema.label is not None else NAN] * self._width
        naive = list(self.last[key.row])
        return {"compact": compact, "centre": centre, "scale": scale, "naive": naive, "target": target}

    def _answer(self, record: Record, answer: list[Any]) -> None:
        encoder, key = self.encoder, record["key"]
        self.counts["matched"] += 1
        self.taken += 1
        values = np.full((1, encoder.columns), NAN)
        if self.schema.label is not None:
            truth = [float(encoder.class_numbers(answer)[0])]
            if truth[0] == truth[0]:
                self.known_classes = max(self.known_classes, int(truth[0]) + 1)
                record["target"] = truth
        else:
            truth = answer
            values[0, encoder.places] = truth
            for j, (value, centre, scale) in enumerate(zip(truth, record["centre"], record["scale"], strict=True)):
                z = (value - centre) / (scale or 1.0)
                record["target"][j] = z if z != z else min(max(z, -encoder.clip), encoder.clip)
        encoder.scale(values, np.array([key.row]))
        last = self.last[key.row]
        self.last[key.row] = [old if new != new else new for new, old in zip(truth, last, strict=True)]
        self.truths.append((record["number"], truth))
        self._end(record, matched=True)

    def _give_up(self, record: Record) -> None:
        self.counts["given_up"] += 1
        self._end(record, matched=False)

    def _end(self, record: Record, *, matched: bool) -> None:
        record["over"] = True
        record["completed"] = self.now - 1 if matched else -1  # an item
        self.over.pop(record["id"], None)
        while len(self.over) >= self.most:
            del self.over[next(iter(self.over))]
        self.over[record["id"]] = self.now, matched
        key = record["key"]
        while (first := next((held for held in self.held if held["key"] is key), None)) and first["over"]:
            self.held = [held for held in self.held if held is not first]
            key.records.append(first)
            self._count(key)
            self.number += 1
            self.classes = self.known_classes
            self._close(key)
            self._compose()

    def _leave(self, keys: list[PlainKey]) -> None:
        for key in keys:
            for record in [held for held in self.held if held["key"] is key and not held["over"]]:
                self._give_up(record)
        self._cut(keys)
