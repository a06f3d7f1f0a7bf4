"""The curves of a training: few enough points to be kept and drawn, however long it is."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from ...core.base.state import Part

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["History"]

POINTS, EVENTS = 1000, 100  # at most
MEASURES = {"mae": "MAE", "accuracy": "accuracy", "skill": "mean skill"}
FLOAT64 = np.dtype(np.float64)


class _Column:
    """A column of the points: a copy of it, float64 ``(n,)``."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, history: History, owner: type | None = None) -> Array:
        return history.points[:, COLUMNS.index(self._name)].copy()


class History:
    """The curves of a training, as columns of the same length; each is a float64 array ``(n,)``.

    - ``time``: seconds that its runs have taken.
    - ``batch``: how many batches had been applied; ``tokens``: how many time steps × lanes were in them.
    - ``loss``: the mean of the finite losses of the batches of the point.
    - ``lr``: the learning rate; NaN where the optimizer has none.
    - ``record``: how many records had come; ``metric`` and ``naive``: how good the last 1,000 forecasts were, and the
      best naive ones. They are those that the last report has said, and NaN before one has, or where there are none.
      ``measure`` is which: ``"mae"``, ``"accuracy"``, or of several targets their mean ``"skill"``; None of a text.

    A point is of ``stride`` batches, and all but the loss is what was so after the last of them. There is one for each
    batch at first; where there are `limit` of them, an even number, each two become one. Which batches a point is of
    depends on how many there were, and on nothing else. The last point may be of fewer.

    ``events`` are the last things that have happened, 100 at most: for each the time and the number of the last batch
    before, and what it was. Raises ArgumentError.
    """

    time, batch, tokens, lr = _Column(), _Column(), _Column(), _Column()
    record, metric, naive = _Column(), _Column(), _Column()

    def __init__(self, limit: int = POINTS) -> None:
        self.limit = check_count("limit", limit, 2)
        if self.limit % 2:
            raise ArgumentError("limit", "an even number", limit)
        self.stride = 1
        self.measure: str | None = None
        self._points = np.zeros((self.limit, len(COLUMNS)))
        self._count = self._held = 0  # points that are whole, and batches in the one behind them
        self._said = [math.nan] * 3  # of the records
        self.events: deque[tuple[float, int, str]] = deque(maxlen=EVENTS)

    def __len__(self) -> int:
        return self._count + (self._held > 0)

    def __repr__(self) -> str:
        if not len(self):
            return "History of no batch"
        return f"History of {self.batch[-1]:,.0f} batches in {len(self)} points, the last loss {self.loss[-1]:.4g}"

    @property
    def points(self) -> Array:
        """All that there is ``(n, 9)``, which the columns are made of; not to be written to."""
        return self._points[: len(self)]

    @property
    def loss(self) -> Array:
        """See the class."""
        total, count = self.points[:, COLUMNS.index("total")], self.points[:, COLUMNS.index("finite")]
        means = np.full(len(total), np.nan)
        np.divide(total, count, out=means, where=count > 0)
        return means

    @property
    def seconds(self) -> float:
        """The time of the last batch; 0 before one."""
        return float(self.points[-1, 0]) if len(self) else 0.0

    def add(self, time: float, batch: int, size: int, loss: float, lr: float) -> None:
        """Take in the next batch, the `batch`-th, of `size` time steps × lanes, which was applied at this `time`."""
        if self._count == self.limit:
            self._thin()
        row, tokens = self._points[self._count], float(self.points[-1, 2]) if len(self) else 0.0
        total, finite = (row[-2], row[-1]) if self._held else (0.0, 0.0)
        if math.isfinite(loss):
            total, finite = total + loss, finite + 1
        row[:] = (time, batch, tokens + size, lr, *self._said, total, finite)
        self._held += 1
        if self._held == self.stride:
            self._count, self._held = self._count + 1, 0

    def _thin(self) -> None:
        """Make one point of each two."""
        half = self.limit // 2
        even, odd = self._points[::2], self._points[1::2]
        odd[:, -2:] += even[:, -2:]
        self._points[:half] = odd.copy()
        self._count, self.stride = half, 2 * self.stride

    def say(self, records: Mapping[str, Any] | None) -> None:
        """Take in what a report has said of records, also for the last batch."""
        if records is None:
            return
        window = records.get("metrics", {}).get("window", {})
        self.measure = next((name for name in MEASURES if name in window), self.measure)
        # What is naive has no skill over itself.
        values = window.get(self.measure), 0.0 if self.measure == "skill" else window.get(f"naive_{self.measure}")
        self._said = [float(records["records"]), *(math.nan if value is None else float(value) for value in values)]
        if len(self):
            self.points[-1, 4:7] = self._said

    def note(self, text: str) -> None:
        """Something has happened."""
        batch = int(self.points[-1, COLUMNS.index("batch")]) if len(self) else 0
        self.events.append((self.seconds, batch, text))

    def dump(self) -> Part:
        """A copy of it."""
        about = {"stride": self.stride, "held": self._held, "measure": self.measure, "events": [*self.events]}
        return Part({"points": self.points.copy()}, about)

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it is none, or of more points."""
        about = part.about
        points = part.array("points", ("n", len(COLUMNS)), FLOAT64)
        stride, measure = check_count("stride", about.get("stride")), about.get("measure")
        held = check_count("held", about.get("held"), 0, stride - 1)
        events = [_event(event) for event in about.get("events", ())]
        if not (held > 0) <= len(points) <= self.limit or measure not in (None, *MEASURES):
            raise ArgumentError("history", f"at most {self.limit} points of a measure", f"{len(points)} of {measure!r}")
        self._points[: len(points)] = points
        self.events = deque(events, EVENTS)
        self.stride, self.measure, self._held, self._count = stride, measure, held, len(points) - (held > 0)
        self._said = points[-1, 4:7].tolist() if len(points) else [math.nan] * 3

    def cut(self, batches: int) -> None:
        """Forget what is of batches behind so many."""
        self.events = deque((event for event in self.events if event[1] <= batches), EVENTS)
        kept = int(np.count_nonzero(self.points[:, 1] <= batches))
        if kept < len(self):
            self._count, self._held = kept, 0
            self._said = self._points[kept - 1, 4:7].tolist() if kept else [math.nan] * 3

    def plot(self) -> Figure:
        """The loss over the batches, and beside it, of records, the metric and the naive one: a figure of matplotlib.

        A notebook shows it, and its ``savefig`` writes it. Raises ImportError where matplotlib is not installed.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("a plot needs matplotlib: pip install matplotlib") from error
        width = 1 if self.measure is None else 2
        figure, axes = pyplot.subplots(1, width, figsize=(5.5 * width, 3.5), squeeze=False, layout="constrained")
        pyplot.close(figure)  # it is the caller's; a notebook would show it once more
        axes[0, 0].plot(self.batch, self.loss)
        axes[0, 0].set(xlabel="batches", ylabel="loss")
        if self.measure is not None:
            axes[0, 1].plot(self.record, self.metric, label="model")
            axes[0, 1].plot(self.record, self.naive, label="naive", linestyle="--")
            axes[0, 1].set(xlabel="records", ylabel=f"{MEASURES[self.measure]} of the last 1,000")
            axes[0, 1].legend()
        return figure


# The losses of a point are kept as their sum, and how many were finite.
COLUMNS = [name for name, column in vars(History).items() if isinstance(column, _Column)] + ["total", "finite"]


def _event(event: object) -> tuple[float, int, str]:
    """One of `History.events`. Raises ArgumentError."""
    match event:
        case [float() | int() as time, int() as batch, str() as text]:
            return float(time), batch, text
    raise ArgumentError("events", "a time, a batch and a text each", event)
