"""Keyed records packed by a plain loop, one record after the other: the oracle of the packer, which works in arrays."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np

from recurrio.core import SequenceBatch
from recurrio.core.base.parameters import Array
from recurrio.core.online.encoder import Encoder
from recurrio.core.online.schema import Schema

NAN = math.nan
IGNORED = -100
Chunk = dict[str, Any]


class PlainKey:
    """What is known of a key: all its records, of which so many are in chunks, and where the next chunk begins."""

    def __init__(self, row: int) -> None:
        self.row, self.fresh, self.count, self.begin, self.start = row, True, 0, 0, 0
        self.full: int | None = None  # with how many records in chunks the open one is full
        self.records: list[dict[str, Any]] = []  # all of them
        self.since = 0
        self.known: list[float] = []
        self.used = 0


class PlainLanes:
    """See `recurrio.pipeline.lanes.record_lanes.RecordLanes`: the same of one record at a time.

    What comes out is in ``events``: ``("arrive", number, centre, scale, naive, truth, compact)`` and ``("batch",
    number, SequenceBatch, labelled, completed, told)``: the numbers of the records with which labels came, −1: none.
    """

    long, kept = 1 << 16, 4096

    def __init__(
        self,
        schema: Schema,
        *,
        seq_len: int,
        batch_size: int,
        keys: int,
        shards: int = 1,
        patience: int = 1 << 17,
        max_gap: float | None = None,
        stride: int | None = None,
        replay: int = 0,
        seed: int = 0,
    ) -> None:
        self.schema, self.encoder = schema, Encoder(schema)
        self.T, self.B, self.capacity, self.shards, self.patience = seq_len, batch_size, keys, shards, patience
        self.max_gap = max_gap
        self.stride, self.paces = min(stride or 1, seq_len), stride is None
        self.replay, self.seed, self.batches = replay, seed, 0
        self.stored: list[list[dict[str, Any]]] = []  # windows that were learned from
        self.keys: dict[str, PlainKey] = {}
        self.free: list[list[int]] = [[*range(shard, keys, shards)] for shard in range(shards)]
        self.number = self.classes = 0
        self.waiting: list[Chunk] = []
        self.events: list[tuple[Any, ...]] = []
        self.unlabelled = self.evicted = 0

    @property
    def told(self) -> int:
        """How many labels that came later have been told; there are none."""
        return 0

    @property
    def stamp(self) -> int:
        """The number that a batch has: that of the record with which it was made."""
        return self.number - 1

    # A record

    def feed(self, key: str, numbers: list[float], time: float | None = None, label: str | None = None) -> None:
        self._make_room(key)
        known = self.keys.get(key)
        if known is None:
            known = self.keys[key] = PlainKey(self.free[self._shard(key)].pop(0))
        known.used = self.number
        record = self._record(known, numbers, time, label)
        known.records.append(record)
        self._count(known)
        arrive = [record[name] for name in ("centre", "scale", "naive", "truth", "compact")]
        self.events.append(("arrive", self.number, *arrive))
        self.number += 1
        self._close(known)
        self._compose()
        if self.number % self.patience == 0:
            self.cut(self.number - max(self.patience, 4 * self.T * len(self.keys)))

    def _record(self, key: PlainKey, numbers: list[float], time: float | None, label: str | None) -> dict[str, Any]:
        schema, encoder = self.schema, self.encoder
        before = key.records[-1] if key.records else None
        values = [*numbers]
        if schema.time is not None:
            step = NAN if before is None else min(max(time - before["time"], 0.0), 30 * 86400.0)  # type: ignore[operator]
            values.append(math.log1p(step) if step == step else NAN)
            values[-1] = float(np.log1p(step))
        gaps = 0 if before is None else before["gaps"]
        if before is not None and self.max_gap is not None and time - before["time"] > self.max_gap:  # type: ignore[operator]
            gaps += 1
        if schema.label is not None:
            now = [float(encoder.class_numbers([label])[0])]
            self.classes = max(self.classes, 0 if now[0] != now[0] else int(now[0]) + 1)
        else:
            now = [numbers[place] for place in encoder.places]
        previous = [NAN] * len(now) if before is None else before["known"]
        known = [old if value != value else value for value, old in zip(now, previous, strict=True)]
        truth, naive, origins = [], [], []
        for j, h in enumerate([target.horizon for target in schema.targets] or [0]):
            origin = key.records[-h] if h and len(key.records) >= h else None
            if origin is not None and origin["gaps"] != gaps:
                origin = None
            origins.append(origin)
            truth.append(now[j] if h == 0 or origin is not None else NAN)
            naive.append(known[j] if h else previous[j])
            if h:
                values.append(NAN if origin is None else (truth[j] - origin["base"][j]) / origin["unit"][j])
        ahead = encoder.ahead
        then = [NAN if origins[j] is None else origins[j]["known"][j] for j in ahead]
        told = [[known[j] for j in ahead], then, [truth[j] for j in ahead]]
        *own, chosen = encoder.centre.follow(np.array([key.row]), *(np.array([part]) for part in told))
        base, unit = [*known], [1.0] * len(known)
        for place, j in enumerate(ahead):
            base[j], unit[j] = (float(part[0, place]) for part in own)
        array = np.array([values])
        days = None if time is None else encoder.days(np.array([time]))
        scales = encoder.scale(array, np.array([key.row]), days, chosen)
        compact = encoder.compact(array, scales, days, [])[0]
        centre, scale = self._forecast(base, unit, naive, scales.mean[0], scales.deviation[0])
        record = {"time": time, "gaps": gaps, "known": known, "base": base, "centre": centre, "scale": scale}
        record |= {"unit": unit, "naive": naive, "truth": truth, "compact": compact, "number": self.number}
        record["target"] = [NAN] * len(now)
        H = schema.horizon
        record["completed"] = self.number if not H else -1  # the number of the record with which its label came
        if H and len(key.records) >= H:
            key.records[-H]["completed"] = self.number
        if schema.label is not None:
            record["target"] = [IGNORED if truth[0] != truth[0] else truth[0]]
        for j, target in enumerate(schema.targets):
            of = origins[j] if target.horizon else record
            if of is not None:
                z = (truth[j] - of["centre"][j]) / (of["scale"][j] or 1.0)
                of["target"][j] = z if z != z else min(max(z, -encoder.clip), encoder.clip)
        return record

    def _forecast(
        self, base: list[float], unit: list[float], naive: list[float], mean: Array, deviation: Array
    ) -> tuple[list[float], list[float]]:
        encoder, centre, scale = self.encoder, [], []
        if self.schema.label is not None:
            return [0.0], [1.0]
        for j, (place, target) in enumerate(zip(encoder.places, self.schema.targets, strict=True)):
            if target.horizon and base[j] == base[j]:
                at = encoder.columns - len(encoder.ahead) + encoder.ahead.index(j)
                centre.append(base[j] + unit[j] * mean[at])
                scale.append(unit[j] * deviation[at])
            else:
                own = not target.horizon and deviation[place] == 0  # then the mean may be that of the record itself
                centre.append(naive[j] if own else mean[place])
                scale.append(deviation[place])
        return centre, scale

    # Chunks and batches

    def _count(self, key: PlainKey) -> None:
        key.count += 1
        if key.count - self.schema.horizon - key.begin == 1:
            key.since = self.number  # with the first label of its open chunk

    def _close(self, key: PlainKey) -> None:
        """The fewer keys there are, and records have been, the more often is a chunk closed."""
        if self.paces:
            most = max(self.T * len(self.keys) // self.B, (self.number - 1) // self.long)
            self.stride = max(self.stride, min(self.T, most))
        ready = key.count - self.schema.horizon
        if ready == (key.begin + self.stride if key.full is None else key.full):
            self._chunk(key, len(self.keys), self.number - 1)

    def _chunk(self, key: PlainKey, keys: int, number: int) -> None:
        """Of the open chunk of a key: the last T steps at most, whose label is there, up to `start`."""
        end = key.count - self.schema.horizon
        chunk = {"own": key.row, "keys": keys, "number": number, "records": key.records[key.start : end]}
        assert 0 < len(chunk["records"]) <= self.T
        chunk["fresh"] = end - key.begin
        chunk["row"], key.fresh = ~key.row if key.fresh else key.row, False
        following = max(key.start, end + self.stride - self.T)  # so that the next chunk has T at most
        chunk["carry"] = following - key.start
        key.begin, key.start, key.full = end, following, end + self.stride
        self.waiting.append(chunk)

    def _compose(self) -> None:
        while self.waiting:
            most = min(self.B, self.waiting[0]["keys"])
            seen: set[int] = set()
            for place, chunk in enumerate(self.waiting):
                if chunk["own"] in seen:
                    self._batch(place)
                    break
                seen.add(chunk["own"])
                if place + 1 == most:
                    self._batch(most)
                    break
            else:
                if self.number - 1 < self.waiting[0]["number"] + self.B * self.T:
                    return
                self._batch(len(self.waiting))

    def _batch(self, count: int) -> None:
        chunks, self.waiting = self.waiting[:count], self.waiting[count:]
        again = self._again()
        self.stored += [chunk["records"] for chunk in chunks if len(chunk["records"]) == self.T]
        del self.stored[: -self.kept]
        chunks += again
        count, self.batches = len(chunks), self.batches + 1
        chunks.sort(key=lambda chunk: chunk["own"] % self.shards)
        lengths = np.array([len(chunk["records"]) for chunk in chunks])
        width, label = len(self.schema.targets) or 1, self.schema.label is not None
        compact = np.zeros((self.T, count, self.encoder.compact_size), np.float32)
        targets = np.full((self.T, count, width), IGNORED if label else NAN, np.float32)
        for lane, chunk in enumerate(chunks):
            for step, record in enumerate(chunk["records"]):
                compact[step, lane] = record["compact"]
                if step >= len(chunk["records"]) - chunk["fresh"]:
                    targets[step, lane] = record["target"]
        inputs = self.encoder.expand(compact, np.dtype(np.float32))
        labelled = targets[:, :, 0] != IGNORED if label else ~np.isnan(targets).all(axis=2)
        batch = SequenceBatch(
            inputs,
            targets[:, :, 0].astype(np.int64) if label else targets,
            False,
            lengths if lengths.min() < self.T else None,
            np.array([chunk["row"] for chunk in chunks]),
            self.classes,
            carry if np.any((carry := np.array([chunk["carry"] for chunk in chunks])) < lengths) else None,
        )
        completed = np.full((count, self.T), -1)
        for lane, chunk in enumerate(chunks):
            completed[lane, : len(chunk["records"])] = [record.get("completed", -1) for record in chunk["records"]]
        completed[~labelled.T] = -1
        live = np.array(["again" not in chunk for chunk in chunks])
        self.events.append(("batch", self.stamp, batch, int(labelled[:, live].sum()), completed[live], self.told))

    def _again(self) -> list[Chunk]:
        """Windows of the past, in rows behind those of the keys."""
        if not self.replay or not self.stored:
            return []
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, self.batches))))
        drawn = [self.stored[index] for index in rng.integers(0, len(self.stored), self.replay)]
        rows = range(self.capacity, self.capacity + self.replay)
        extent = {"fresh": self.T, "carry": self.T, "again": True}
        return [
            {"row": ~row, "own": row, "records": records, **extent} for row, records in zip(rows, drawn, strict=True)
        ]

    def cut(self, before: int) -> None:
        keys = [key for key in self.keys.values() if key.count - self.schema.horizon > key.begin]
        keys = [key for key in keys if key.since < before]
        self._cut(sorted(keys, key=lambda key: (key.since, key.row)))

    def _cut(self, keys: list[PlainKey]) -> None:
        for key in keys:
            if key.count - self.schema.horizon > key.begin:
                self._chunk(key, 1 << 62, self.number - 1)
        self._compose()
        if self.waiting:
            self._batch(len(self.waiting))

    def _leave(self, keys: list[PlainKey]) -> None:
        self._cut(keys)

    def finish(self) -> None:
        self.cut(self.number)
        self.unlabelled += sum(key.count - key.begin for key in self.keys.values())

    def _shard(self, key: str) -> int:
        return zlib.crc32(key.encode()) % self.shards if self.shards > 1 else 0

    def _make_room(self, key: str) -> None:
        shard = self._shard(key)
        if key in self.keys or self.free[shard]:
            return
        own = sorted((k for k in self.keys.values() if k.row % self.shards == shard), key=lambda k: k.used)
        self._leave(going := own[: max(1, len(own) // 16)])
        self.evicted += len(going)
        for gone in going:
            self.unlabelled += gone.count - gone.begin
            self.free[shard].append(gone.row)
        self.free[shard].sort()
        self.keys = {name: known for name, known in self.keys.items() if known not in going}


def check_same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]], times: Array | None = None) -> None:
    """The same arrivals and batches, to the bit, in the same order; `times` are when items came, 0: unknown.

    Each is as `PlainLanes.events` has it; those that were `found` have in the place of what completed the labels when
    that came, None where none of it is known.
    """
    assert [event[:2] for event in found] == [event[:2] for event in expected]
    for mine, other in zip(found, expected, strict=True):
        parts = mine[2:], other[2:]
        if mine[0] == "batch":
            parts = mine[2], other[2]
            assert (mine[3], mine[5]) == (other[3], other[5])
            if times is not None:
                came = np.where(other[4] < 0, 0, times[other[4]])
                assert not came.any() if mine[4] is None else mine[4].tolist() == came.tolist()
        for part, wanted in zip(*parts, strict=True):
            np.testing.assert_array_equal(part, wanted)
