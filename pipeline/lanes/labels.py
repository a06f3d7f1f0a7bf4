"""Labels: from the records of each key in their order to what is to be forecast at each, and to what came true."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.online.encoder import Encoder, Scales
from ...core.online.standardise import scaled
from ..decoding.block import Block
from .rings import KeyOrder, Ring, carried, filled
from .season import Season
from .time_steps import TimeSteps, logarithm

__all__ = ["IGNORED", "NAIVE", "Labelled", "Labeller"]

NAIVE = ("last", "season", "drift")  # the last value; and where there is a season, see `season`
IGNORED = -100  # a class that is not known, as in `CrossEntropyLoss`


class Labelled(NamedTuple):
    """`n` records with their labels, in the order of their keys. `F` are the targets; one label is one too, a class.

    - ``steps`` ``(n, C + F)`` float32: what a model reads, see `Encoder.compact`; and what it learns to say, scaled:
      NaN, of a class IGNORED, where that is not known yet.
    - ``centre``, ``scale`` ``(n, F)``: a forecast is centre + scale · output.
    - ``naive`` ``(n, F, N)``: naive forecasts in N `NAIVE` ways; NaN where there is no value of the key yet.
    - ``truth`` ``(n, F)``: what came true with this record, of the one `horizon` records before it; NaN: nothing.
    - ``scales``: what they were scaled by, in the order of arrival.
    - ``late``: how many had a time before that of the last record of their key.
    """

    steps: Array
    centre: Array
    scale: Array
    naive: Array
    truth: Array
    scales: Scales
    late: int


class Labeller:
    """What is to be remembered of each of `keys` keys until the labels of its last records come.

    A target ahead is learned as its distance from a centre, mostly the last value that is known when the record comes,
    in a unit, see `recurrio.core.online.centre`, over the running deviation of such distances. Where no value is known,
    and for a target of the same record, it is the number itself, scaled. Where two records of a key are more than
    `max_gap` seconds apart, none before them has a label behind them.
    For `season` see `recurrio.pipeline.lanes.season`.
    """

    def __init__(self, encoder: Encoder, keys: int, max_gap: float | None = None, season: float | None = None) -> None:
        schema = encoder.schema
        self._encoder, self._gap = encoder, max_gap
        self._horizons = [target.horizon for target in schema.targets] or [0]
        self._width, depth = len(self._horizons), max(1, schema.horizon)
        # The last known value of each target, the centre and the unit of its forecast, and what these are then.
        self._past = Ring(keys, depth, (5 * self._width,), "float64")
        self._times = None if schema.time is None else TimeSteps(keys)
        self._season = None if season is None else Season(self._horizons, season)
        self._gaps = Ring(keys if max_gap is not None else 0, depth, (), "int64")

    def take(self, encoder: Encoder, rows: Array) -> Labeller:
        """One for records of the keys in these `rows`, see `Ring.take`, that `encoder` reads; it says no labels."""
        found = Labeller(encoder, 0)
        found._past, found._times = self._past.take(rows), None if self._times is None else self._times.take(rows)
        return found

    @np.errstate(over="ignore")  # of numbers that are as large as can be, which are clipped
    def label(self, block: Block, rows: Array, order: KeyOrder, steps: Ring) -> Labelled:
        """The records of `block`, whose keys are in `rows` (``~row``: a new one), with their labels.

        What is known now of earlier ones goes into `steps`, the ring of what is in the open chunks.
        """
        encoder, width, now = self._encoder, self._width, self._numbers(block, order)
        values, late, gaps = self._values(block, order)
        lags = {h: self._past.before(order, max(1, h)) for h in {*self._horizons}}
        known = self._fill(order, now)
        for h, (past, inside) in lags.items():
            filled(past[:, :width], inside, known, max(1, h))
        truth, naive = now.copy(), known
        for j, h in enumerate(self._horizons):
            before = lags[h][0][:, j]
            if not h:
                naive = naive.copy()
                naive[:, j] = _where(order.pos >= 1, before)
                continue
            valid = order.pos >= h
            if gaps is not None:
                earlier, inside = self._gaps.before(order, h)
                valid &= filled(earlier, inside, gaps, h) == gaps
            truth[:, j] = _where(valid, now[:, j])
        centre, chosen = self._centre(rows, order, known, truth, lags)
        for h, (past, inside) in lags.items():
            filled(past[:, width : 3 * width], inside, centre, max(1, h))
        for j in encoder.ahead:
            middle, unit = lags[self._horizons[j]][0][:, [width + j, 2 * width + j]].T
            values[order.index, encoder.said[j]] = (truth[:, j] - middle) / unit
        ways = naive[:, :, None]
        if self._season is not None:
            times = None if block.times is None else block.times[order.index]
            ways = np.concatenate((ways, self._season.naive(order, times, known, naive)), axis=2)
        days = encoder.days(block.times)
        scales = encoder.scale(values, rows, days, chosen)
        compact = encoder.compact(values, scales, days, block.categories)
        forecasts = self._forecasts(order, centre, naive, scales.mean, scales.deviation)
        for h, (past, inside) in lags.items():
            filled(past[:, 3 * width :], inside, forecasts, max(1, h))
        found = np.empty((len(order), compact.shape[1] + width), np.float32)
        found[:, :-width] = compact.take(order.index, 0)
        found[:, -width:] = self._targets(order, truth, forecasts, lags, steps)
        self._past.push(order, np.concatenate((known, centre, forecasts), axis=1))
        if gaps is not None:
            self._gaps.push(order, gaps)
        return Labelled(found, forecasts[:, :width], forecasts[:, width:], ways, truth, scales, late)

    def _values(self, block: Block, order: KeyOrder) -> tuple[Array, int, Array | None]:
        """The columns to be scaled, but for the distances, by arrival; how many are late; gaps up to each."""
        encoder = self._encoder
        values = np.empty((len(order), encoder.columns))
        values[:, : encoder.fields] = block.numbers
        values[:, encoder.fields :] = np.nan
        if self._times is None:
            return values, 0, None
        assert block.times is not None
        step = self._times.steps(block.times, order)
        values[order.index, encoder.fields] = logarithm(step)
        late = int(np.count_nonzero(step < 0))
        if self._gap is None:
            return values, late, None
        total = np.concatenate(([0], np.cumsum(step > self._gap)))
        before, first = self._gaps.before(order, 1)[0][order.start], order.start
        before = np.where(order.pos[first] > 0, before, 0)
        return values, late, total[1:] - total[first] + before

    def _numbers(self, block: Block, order: KeyOrder) -> Array:
        """What each record says of the targets ``(n, F)``; NaN where it is missing."""
        found: Array
        if block.labels is None:
            found = block.numbers.take(self._encoder.places, 1).take(order.index, 0)
        else:
            found = self._encoder.class_numbers(block.labels)[order.index][:, None]
        return found

    def _fill(self, order: KeyOrder, now: Array) -> Array:
        """The same, with the last number of the key that was known where one is missing."""
        if not np.isnan(now).any():
            return now
        earlier = self._past.before(order, 1)[0][order.start][:, : self._width]
        return carried(order, now, _where((order.pos[order.start] >= 1)[:, None], earlier))

    def _centre(
        self, rows: Array, order: KeyOrder, known: Array, truth: Array, lags: dict[int, tuple[Array, Array]]
    ) -> tuple[Array, Array | None]:
        """The centres and units ``(n, 2F)`` of the forecasts with the records; and what was chosen, by arrival."""
        ahead, found = self._encoder.ahead, np.concatenate((known, np.ones_like(known)), axis=1)
        if not ahead:
            return found, None
        before = [lags[self._horizons[j]][0][:, j] for j in ahead]
        told = order.by_arrival(np.stack((*known[:, ahead].T, *before, *truth[:, ahead].T)).T)
        centre, unit, chosen = self._encoder.centre.follow(rows, *np.split(told, 3, axis=1))
        found[:, ahead] = centre.take(order.index, 0)
        found[:, [self._width + j for j in ahead]] = unit.take(order.index, 0)
        return found, chosen

    def _forecasts(self, order: KeyOrder, given: Array, naive: Array, mean: Array, deviation: Array) -> Array:
        """What output 0 of the model says at each record, and the scale of others ``(n, 2F)``; scales are by arrival.

        `given` are the centres and units.

        The mean of a number that has no deviation yet may be that of the record itself: of that it is not known.
        """
        encoder, width, index = self._encoder, self._width, order.index
        found = np.empty((len(given), 2 * width))
        if encoder.schema.label is not None:
            found[...] = 0.0, 1.0
            return found
        for j, place in enumerate(encoder.places):
            centre, scale = mean[index, place], deviation[index, place]
            found[:, j] = centre if j in encoder.ahead else np.where(scale > 0, centre, naive[:, j])
            found[:, width + j] = scale
        for j in encoder.ahead:
            at = encoder.said[j]
            middle, unit = given[:, j], given[:, width + j]
            some = ~np.isnan(middle)
            np.copyto(found[:, j], middle + unit * mean[index, at], where=some)
            np.copyto(found[:, width + j], unit * deviation[index, at], where=some)
        return found

    def _targets(
        self, order: KeyOrder, truth: Array, forecasts: Array, lags: dict[int, tuple[Array, Array]], steps: Ring
    ) -> Array:
        """What is known of the targets of these records; what is known now of earlier ones goes into `steps`."""
        if self._encoder.schema.label is not None:
            return np.where(np.isnan(truth), IGNORED, truth)
        width, found = self._width, np.full(truth.shape, np.nan)
        for j, h in enumerate(self._horizons):
            past, inside = lags[h]
            of = past[:, 3 * width :] if h else forecasts
            label = scaled(truth[:, j], of[:, j], of[:, width + j], self._encoder.clip)
            if h == 0:
                found[:, j] = label
                continue
            found[inside - h, j] = label[inside]
            at = order.heads(h)
            at = at[order.pos[at] >= h]
            place = (order.pos[at] - h) % steps.depth
            steps.values[order.rows[at], place, steps.values.shape[2] - width + j] = label[at]
        return found

    def dump(self, rows: int) -> Part:
        """What it keeps of the first keys."""
        arrays = {"past": self._past.dump(rows)}
        if self._times is not None:
            arrays["times"] = self._times.dump(rows)
        if self._gap is not None:
            arrays["gaps"] = self._gaps.dump(rows)
        if self._season is not None:
            arrays["season"] = self._season.dump(rows)
        return Part(arrays, {})

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self._past.load(part, "past", rows)
        if self._times is not None:
            self._times.load(part, "times", rows)
        if self._gap is not None:
            self._gaps.load(part, "gaps", rows)
        if self._season is not None:
            self._season.load(part, "season", rows)


def _where(condition: Array, values: Array) -> Array:
    return np.where(condition, values, np.nan)
