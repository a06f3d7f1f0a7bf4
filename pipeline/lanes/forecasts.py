"""Forecasts of records as they arrive, before anything behind them is known, and their scores as the truth comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.base.checks import ArgumentError, check_count, check_flag
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.base.table import rows_of
from ...core.losses import IntervalLoss
from ...core.model.forecaster import Forecaster
from ...core.model.sequence_model import SequenceModel
from ...core.online.bounds import Bounds
from ...core.online.encoder import Encoder
from ...core.online.probabilities import log_probabilities
from ...core.online.scores import BoundScores, ClassScores, NumberScores, WorstClasses, WorstNumbers
from ..decoding.values import shown
from .drift_watch import DriftWatch
from .forecast import Forecast, Listener
from .labels import NAIVE
from .live import Arrivals, Arrived
from .outcomes import ByKey, BySlot, Coming
from .supposed import Supposed

__all__ = ["ForecastMaker"]

FAR = 1e6  # scales; an error is no larger
HOPELESS = 5  # times as far off as the last value
MOST_SUPPOSED = 256  # keys of records that are supposed to come
LOOKED_AT = 10_000  # records, after which the forecasts of keys are looked at


class ForecastMaker:
    """Forecasts with `model`, each key from a state of its own, which every record of it moves on.

    `keys` is how many keys there can be, `names` are those there are, by their rows in the table. `warn` is told where
    forecasts are hopeless; of every one is told who `hears` says, if anybody, then. Labels come `later` where records
    wait for them in slots. Where the model says bounds too, these are corrected, and what is far outside is an `alarm`:
    see `Bounds`. With `drift`, a detector, `on_drift` is told of the record with which one is found: see `DriftWatch`.
    ``scores`` are those of forecasts whose truth has come, beside those by the `naive` ways.
    """

    def __init__(
        self,
        model: SequenceModel,
        encoder: Encoder,
        keys: int,
        names: Sequence[str],
        hears: Callable[[], Listener | None] = lambda: None,
        warn: Callable[[str], None] | None = None,
        *,
        later: bool = False,
        alarm: float | None = None,
        naive: Sequence[str] = NAIVE[:1],
        drift: str | None = None,
        on_drift: Callable[[int], None] = lambda record: None,
    ) -> None:
        schema = encoder.schema
        self._names, self._warn, self._warned = names, warn, False
        self._encoder, self._dtype, self.hears = encoder, model.dtype, hears
        self.forecaster = Forecaster(model, keys)
        self._model = model
        self._trial: Forecaster | None = None  # for records that are supposed to come
        horizons = [target.horizon for target in schema.targets] or [0]
        width, loss = len(horizons), model.network.loss
        columns = 1 + len(naive)  # of each target the forecast, and the naive ones
        self._ways, self._scale = slice(1, columns), columns
        columns += 1  # and the scale
        self.drift, self._on_drift = None if drift is None else DriftWatch(drift), on_drift
        self._bounds: Bounds | None = None
        self._shift = np.zeros((1, 1))
        if isinstance(loss, IntervalLoss):
            self._bounds = Bounds(loss.interval, width, encoder.keys, alarm=alarm)
            self._bound_scores = BoundScores([str(target) for target in schema.targets], loss.interval)
            self._bounded = [0, columns, columns + 1, self._scale]  # the columns of forecasts, bounds and scales
            columns += 2
            self._shift = np.array([[0.0], [-loss.shift], [loss.shift]])
        self._outcomes: list[tuple[Coming, Array]] = []  # what is to be scored
        self.alarms = 0
        self.compares = False  # whether somebody looks at the errors:
        self.errors, self.told_at = np.zeros(0), np.zeros(0, np.int64)  # of the last truths, see `Coming`
        self._answers_itself = later or min(horizons) == 0  # and what is said of a record is not of an earlier one
        self._columns = columns  # behind these, of a label, ln p of each class that is known, and of others
        self._kept = BySlot(width, columns) if later else ByKey(keys, horizons, columns)
        self._arrived: Arrived | None = None  # the records that are coming,
        self._inputs = np.empty((0, 0))  # their inputs,
        self._said = np.empty((0, width, columns))  # what is said of them,
        self._labels = 0  # labels that are to be scored with them,
        self._made = self._scored = 0  # how many of them have been forecast, and scored,
        self._due = False  # and whether anything is to be
        names = [str(target) for target in schema.targets]
        self.scores: NumberScores | ClassScores = (
            ClassScores(schema.max_classes, keys)
            if schema.label is not None
            else NumberScores(names, keys, naive=naive)
        )

    def forecast(self, arrivals: Arrivals, version: int, parameters: Array) -> None:
        """Forecast these records with the `parameters` of `version`."""
        arrived, start, stop, self._labels = arrivals
        if self._arrived is not arrived:
            self._arrived, self._scored = arrived, 0
            known = 0 if arrived.classes is None else 1 + int(arrived.classes.max(initial=0))
            self._said = np.empty((len(arrived.rows), self._said.shape[1], self._columns + known))
            self._said[:, :, self._ways] = arrived.naive
            self._said[:, :, self._scale] = arrived.scale
            self._inputs = self._encoder.expand(arrived.compact, self._dtype)
        if stop > start or self._bounds is not None:
            self._forecast(arrivals, version, parameters)
        if self.drift is not None or self.compares:
            self._look_at_errors(arrivals)
        self._made, self._due = stop, True
        if stop == len(arrived.rows):
            self._score()
        if (arrived.number + start) // LOOKED_AT != (arrived.number + stop) // LOOKED_AT:
            self.look_at_scales()

    def _forecast(self, arrivals: Arrivals, version: int, parameters: Array) -> None:
        arrived, part = arrivals.arrived, slice(arrivals.start, arrivals.stop)
        more: dict[str, Array] = {}
        outputs = self.forecaster.forecast(parameters, self._inputs[part], arrived.rows[part])
        if not np.isfinite(np.add.reduce(outputs, None)):
            self.forecaster.clean(arrived.rows[part])
        if arrived.classes is None:
            parts = self._parts(outputs, arrived.centre[part], arrived.scale[part])
            now = parts[:, 0]
            if self._bounds is not None:
                more = self._bound(self._bounds, arrivals, parts)
        else:
            now = self._classes(outputs, arrived.classes[part])
            logs = self._said[part, 0, self._columns :]
            logs[:] = log_probabilities(outputs, arrived.classes[part], logs.shape[1])
        self._said[part, :, 0] = now
        if (listener := self.hears()) is not None and len(now):
            rows = rows_of(arrived.rows[part]).tolist()
            keys = [self._names[row] for row in rows] if self._encoder.schema.key is not None else None
            times = None if arrived.times is None else arrived.times[part]
            ids = None if arrived.ids is None else arrived.ids[part]
            more["known"] = arrived.naive[part, :, 0]
            listener(Forecast(arrived.number + part.start, version, keys, times, now, ids, **more))

    def _parts(self, outputs: Array, centre: Array, scale: Array) -> Array:
        """The forecasts, and what the model says of bounds, ``(n, 1, F)`` or ``(n, 3, F)``; NaN where not finite."""
        shape = len(outputs), len(self._shift), centre.shape[1]
        parts: Array = centre[:, None] + scale[:, None] * (outputs.reshape(shape) + self._shift)
        parts[~np.isfinite(parts)] = np.nan
        return parts

    def suppose(self, supposed: Supposed, rows: Array, parameters: Array) -> tuple[Array, Array | None]:
        """What would be said of these records: the values ``(n, F)``, and bounds ``(n, 2, F)`` where there are some.

        Their keys have the states of `rows` ``(m,)``, −1 of one that is new; these stay as they are. Raises
        ArgumentError where there are more than 256 keys.
        """
        if len(rows) > MOST_SUPPOSED:
            raise ArgumentError("records", f"of at most {MOST_SUPPOSED} keys", len(rows))
        if self._trial is None:
            self._trial = Forecaster(self._model, MOST_SUPPOSED)
        self._trial.set(self.forecaster, rows)
        inputs = self._encoder.expand(supposed.compact, self._dtype)
        outputs = self._trial.forecast(parameters, inputs, supposed.given)
        if supposed.classes is not None:
            return self._classes(outputs, supposed.classes), None
        parts = self._parts(outputs, supposed.centre, supposed.scale)
        if self._bounds is None:
            return parts[:, 0], None
        own = rows[rows_of(supposed.given)]
        own = np.where(own < 0, self._bounds.keys, own)  # of a new key as of all together
        return parts[:, 0], self._bounds.set(own, parts[:, 0], parts[:, 1:], supposed.scale)

    def _bound(self, bounds: Bounds, arrivals: Arrivals, parts: Array) -> dict[str, Array]:
        """What is said of bounds, of which a model says `parts` ``(n, 3, F)``; and what comes true meanwhile."""
        arrived, begin = arrivals.arrived, arrivals.start
        rows, said = arrived.rows[begin : arrivals.stop], self._said[begin : arrivals.stop]
        scale = arrived.scale[begin : arrivals.stop]
        coming = self._kept.coming(arrivals, self._said)
        said[:, :, 0] = parts[:, 0]
        told, found = [np.empty((0, *said.shape[1:]))], np.empty((len(rows), 2, said.shape[1]))
        far, alarm = np.full(coming.truths.shape, np.nan), np.zeros(coming.truths.shape, bool)
        for start, stop, first, last in bounds.stretches(coming.at, rows < 0):
            if stop > start:
                own = slice(start, stop)
                found[own] = bounds.set(rows[own], parts[own, 0], parts[own, 1:], scale[own])
                said[own, :, self._bounded[1] : self._bounded[1] + 2] = found[own].transpose(0, 2, 1)
            if last > first:
                before = coming.said(first, last, stop)
                told.append(before)
                judged = bounds.judge(coming.rows[first:last], before[:, :, self._bounded], coming.truths[first:last])
                far[first:last], alarm[first:last] = judged
        coming.said(0, 0, -1)
        self._outcomes.append((coming, np.concatenate(told)))
        alarms = alarm.any(axis=1)
        self.alarms += int(np.count_nonzero(alarms))
        if self._answers_itself:
            return {"bounds": found}
        return {"bounds": found, "anomaly": np.fmax.reduce(far, axis=1), "alarm": alarms}

    def _classes(self, outputs: Array, known: Array) -> Array:
        """The likeliest of the classes that there were when each record came."""
        some = outputs[:, : max(1, int(known.max()))]
        seen = np.arange(some.shape[1]) < known[:, None]
        best: Array = np.where(seen, some, -np.inf).argmax(axis=1).astype(np.float64)
        best[(known == 0) | ~np.isfinite(outputs).all(axis=1)] = np.nan
        return best[:, None]

    def _tell(self, arrivals: Arrivals) -> None:
        """What comes true with records that have all been forecast, is to be scored."""
        coming = self._kept.coming(arrivals, self._said)
        self._outcomes.append((coming, coming.said(0, len(coming.rows), -1)))

    def _look_at_errors(self, arrivals: Arrivals) -> None:
        """The errors of what has come true with these records, which have been forecast; whether there is a drift."""
        if self._bounds is None:
            self._tell(arrivals)
        coming, said = self._outcomes[-1]
        if isinstance(self.scores, ClassScores):
            errors = np.where(np.isnan(coming.truths), np.nan, coming.truths != said[:, :, 0])
        else:
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                errors = np.abs(coming.truths - said[:, :, 0]) / said[:, :, self._scale]
        known = np.isfinite(errors)
        count = np.count_nonzero(known, axis=1)
        total = np.add.reduce(np.where(known, np.minimum(errors, FAR), 0.0), axis=1)
        self.errors, self.told_at = np.where(count > 0, total / np.maximum(count, 1), np.nan), coming.at
        if self.drift is None:
            return
        fresh = arrivals.arrived.rows[arrivals.start : arrivals.stop] < 0
        for record in self.drift.follow(self.errors, coming.at, fresh, arrivals.arrived.number + arrivals.start):
            self._on_drift(record)

    def _score(self) -> None:
        """Score what the records so far say of earlier ones."""
        if self._arrived is None or not self._due:
            return
        if self._bounds is None and self.drift is None and not self.compares:
            self._tell(Arrivals(self._arrived, self._scored, self._made, self._labels))
        if self._outcomes:
            rows = np.concatenate([coming.rows for coming, _ in self._outcomes])
            truths = np.concatenate([coming.truths for coming, _ in self._outcomes])
            said = np.concatenate([said for _, said in self._outcomes])
            if isinstance(self.scores, ClassScores):
                self.scores.add(rows, said[:, 0, 0], said[:, 0, 1], truths, said[:, 0, self._columns :])
            else:
                self.scores.add(rows, said[:, :, 0], said[:, :, self._ways], truths)
            if self._bounds is not None:
                self._bound_scores.add(said[:, :, self._bounded[1]], said[:, :, self._bounded[2]], truths)
            self._outcomes.clear()
        if self._made == len(self._arrived.rows):
            self._kept.keep(self._arrived, self._said)
        self._scored, self._due = self._made, False

    def forget(self, rows: Array) -> None:
        """The keys in `rows` have gone."""
        self._score()
        self.scores.forget(rows)
        if self._bounds is not None:
            self._bounds.forget(rows)

    def look_at_scales(self) -> None:
        """Warn once of a key whose forecasts are so far off that its numbers must be of another size."""
        if self._warn is None or self._warned or self._encoder.schema.key is None or self._encoder.keys:
            return
        for score in self.worst():
            if isinstance(score, WorstNumbers) and score.mae > HOPELESS * score.naive_mae:
                self._warned = True
                self._warn(
                    f"forecasts of the key {shown(self._names[score.row])} are {score.mae / score.naive_mae:.3g} times "
                    "as far off as its last value; where the numbers of keys differ in size, --per-key scales those of "
                    "each by themselves"
                )
                return

    def metrics(self) -> dict[str, Any]:
        """See the scores."""
        self._score()
        return self.scores.metrics()

    def bounds(self) -> dict[str, Any] | None:
        """How well the bounds hold, see `BoundScores`; None where there are none."""
        if self._bounds is None:
            return None
        self._score()
        return self._bound_scores.metrics() | ({} if self._bounds.alarm is None else {"alarms": self.alarms})

    def worst(self) -> Sequence[WorstNumbers | WorstClasses]:
        """See the scores."""
        self._score()
        return self.scores.worst()

    def report(self) -> dict[str, Any]:
        """The ``metrics``, with bounds also those of these, and where there are keys the ``worst`` of them."""
        found: dict[str, Any] = {"metrics": self.metrics()}
        if (bounds := self.bounds()) is not None:
            found["bounds"] = bounds
        if self.drift is not None:
            found["drift"] = {"count": self.drift.count, "last": self.drift.last if self.drift.count else None}
        if self._encoder.schema.key is not None:
            scores = [score._asdict() for score in self.worst()]
            found["worst"] = [{"key": self._names[score.pop("row")]} | score for score in scores]
        return found

    def dump(self, rows: int, slots: Sequence[int] = ()) -> Part:
        """The states of the first `rows` of the table, the forecasts that wait, also in these `slots`, and the scores.

        All records that have come have been forecast.
        """
        self._score()
        parts = {"kept": self._kept.dump(rows, slots), "scores": self.scores.dump()}
        if self._bounds is not None:
            parts |= {"bounds": self._bounds.dump(rows), "bound_scores": self._bound_scores.dump()}
        if self.drift is not None:
            parts["drift"] = self.drift.dump()
        return Part.of(
            {"warned": self._warned, "alarms": self.alarms}, states=Part(self.forecaster.dump(rows), {}), **parts
        )

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self.forecaster.load(part.part("states"), rows)
        self._kept.load(part.part("kept"), rows)
        self.scores.load(part.part("scores"))
        if self._bounds is not None:
            self._bounds.load(part.part("bounds"), rows)
            self._bound_scores.load(part.part("bound_scores"))
        if self.drift is not None:
            self.drift.load(part.part("drift"))
        self._warned = check_flag("warned", part.about["warned"])
        self.alarms = check_count("alarms", part.about["alarms"], 0)
