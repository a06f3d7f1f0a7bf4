"""Scores of forecasts of classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...base.checks import ArgumentError, check_array, check_count
from ...base.parameters import Array
from ...base.state import Part
from ..class_metrics import CLASS_METRICS, Counts
from ..class_metrics.log_loss import log_losses
from ..standardise import FLOAT64
from .checks import INT64, LEAST, as_lines, check_rows
from .sums import Sums
from .tallies import Tallies

__all__ = ["ClassScores", "WorstClasses"]

WAYS = ("majority", "last")  # naive ones


class WorstClasses(NamedTuple):
    """The scores of the key in `row` of the table."""

    row: int
    accuracy: float
    naive_accuracy: float
    labels: int


class ClassScores:
    """How good forecasts of classes are; beside them two naive ways, ``majority`` and ``last``.

    The one says the most frequent class so far, with the frequencies of the classes so far as probabilities: of n
    labels before, of m different classes, that of a class is ``(its count + 1) / (n + m + 1)``, which leaves one share
    for a class that is new. The other says the key's last class, and no probabilities.

    `classes` K are numbered from 0, `capacity` is how many keys there are, `window` is in labels. Raises ArgumentError
    where one is below 1.
    """

    def __init__(self, classes: int, capacity: int, *, window: int = 1000) -> None:
        self.classes, self.capacity = check_count("classes", classes), check_count("capacity", capacity)
        self.window = check_count("window", window)
        self._tallies, self._losses = self._begin()
        self._majority = -1
        self._keys = np.zeros((4, self.capacity), np.int64)  # labels of each key, and right ones of the three

    def _begin(self) -> tuple[Tallies, Sums]:
        """Counts of the classes, and the log losses of forecasts and frequencies."""
        return Tallies(1 + len(WAYS), self.classes, self.window), Sums(2, self.window)

    def add(self, rows: Array, predicted: Array, last: Array, truths: Array, logarithms: Array) -> None:
        """Take in labels, in order; one counts where the prediction and the truth are there.

        `rows` ``(n,)`` int64 are the keys' rows of the table. The next three are classes ``(n,)`` or ``(n, 1)``, int64
        with −1 or float64 with NaN where there is none. `last` is the last class of the same key that was known when
        the prediction was made; none is wrong. `logarithms` ``(n, k)`` float64 are those of the probabilities of the
        first k − 1 classes, and of each further one. Raises ArgumentError for other arrays, and for what is no class.
        """
        check_rows(rows, self.capacity)
        given = {"truths": truths, "predicted": predicted, "last": last}
        said = np.array([_as_classes(name, array, len(rows)) for name, array in given.items()])
        check_array("logarithms", logarithms, (len(rows), "k"), FLOAT64)
        if said[:2].min(initial=0) < 0:
            some = np.flatnonzero((said[0] >= 0) & (said[1] >= 0))
            rows, said, logarithms = rows[some], said[:, some], logarithms[some]
        if said.max(initial=-1) >= self.classes:
            name, most = max(zip(given, said.max(axis=1).tolist(), strict=True), key=lambda pair: pair[1])
            raise ArgumentError(name, f"classes below {self.classes}", most)
        if not len(rows):
            return
        majority, frequencies = self._so_far(said[0])
        own = logarithms[np.arange(len(rows)), np.minimum(said[0], logarithms.shape[1] - 1)]
        self._losses.add(log_losses(np.array([own, np.log(frequencies)])))
        said = np.array([*said[:2], majority, said[2]])
        self._tallies.add(said)
        right = said == said[0]  # and the truths themselves, which counts the labels
        cells = rows + self.capacity * np.arange(4)[:, None]
        np.add.at(self._keys.reshape(-1), cells.ravel(), right.ravel().astype(np.int64))

    def _so_far(self, truths: Array) -> tuple[Array, Array]:
        """Before each of these labels, the most frequent class, and the smoothed frequency of the label's own.

        The first class to be so of several, −1 before any.
        """
        seen, places = self._tallies.truths, np.arange(len(truths))
        index = truths.astype(np.int16 if self.classes < 1 << 15 else np.int64).argsort(kind="stable")
        counts = np.bincount(truths, minlength=self.classes)
        before = np.empty(len(truths))  # how many of its class came before each
        before[index] = places + (seen - np.cumsum(counts) + counts)[truths[index]]
        new = before == 0
        different = np.count_nonzero(seen) + np.cumsum(new) - new
        frequencies = (before + 1) / (self._tallies.count + places + different + 1)

        most = np.maximum.accumulate(np.concatenate(([seen.max()], before + 1)))
        leads = np.where(before + 1 > most[:-1], places + 1, 0)  # which takes, or keeps, the lead
        majority = np.concatenate(([self._majority], truths))[np.maximum.accumulate(np.concatenate(([0], leads)))]
        self._majority = int(majority[-1])
        return majority[:-1], frequencies

    def forget(self, rows: Array) -> None:
        """Begin anew for the keys in these rows of the table; what they had stays in the scopes."""
        self._keys[:, rows] = 0

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Of each scope the metrics, the best naive ones (``naive_accuracy`` …), ``skill`` and ``count``.

        The skill is ``1 − log_loss / naive_log_loss``. ``naive`` has all metrics of each naive way, of which
        ``majority_accuracy`` and ``last_accuracy`` stand above, too.
        """
        tallies, losses = self._tallies.scopes(), self._losses.scopes()
        return {scope: _metrics_of(tallies[scope], *losses[scope]) for scope in losses}

    def worst(self, k: int = 5) -> list[WorstClasses]:
        """The `k` keys with the lowest accuracy, lowest first, of those with 20 labels and more."""
        rows = np.flatnonzero(self._keys[0] >= LEAST)
        count, right, majority, last = self._keys[:, rows]
        order = np.argsort(right / np.maximum(count, 1), kind="stable")[:k]
        columns = (rows, right / np.maximum(count, 1), np.maximum(majority, last) / np.maximum(count, 1), count)
        return [WorstClasses(*line) for line in zip(*[column[order].tolist() for column in columns], strict=True)]

    def dump(self) -> Part:
        """The counts and sums, and those of the keys that have labels."""
        rows = np.flatnonzero(self._keys[0])
        keys = Part({"rows": rows, "counts": self._keys.take(rows, 1)}, {})
        about = {"classes": self.classes, "window": self.window, "majority": self._majority}
        return Part.of(about, tallies=self._tallies.dump(), losses=self._losses.dump(), keys=keys)

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        for name, mine in (("classes", self.classes), ("window", self.window)):
            if part.about.get(name) != mine:
                raise ArgumentError(name, str(mine), part.about.get(name))
        tallies, losses = self._begin()
        tallies.load(part.part("tallies"))
        losses.load(part.part("losses"))
        majority, keys = check_count("majority", part.about["majority"], -1, self.classes - 1), part.part("keys")
        rows = keys.array("rows", ("n",), INT64)
        check_rows(rows, self.capacity)
        counts = keys.array("counts", (4, len(rows)), INT64)
        self._tallies, self._losses, self._majority = tallies, losses, majority
        self._keys = np.zeros((4, self.capacity), np.int64)
        self._keys[:, rows] = counts


def _as_classes(name: str, array: Array, length: int) -> Array:
    array = as_lines(array, 1)
    floating = getattr(array, "dtype", None) == FLOAT64
    check_array(name, array, (length, 1), FLOAT64 if floating else INT64)
    return np.fmax(array[:, 0], -1).astype(np.int64)


def _metrics_of(tally: Array, losses: list[float], count: float) -> dict[str, Any]:
    """Those of a scope with so many labels."""
    found: dict[str, Any] = {}
    every: dict[str, dict[str, float | None]] = {way: {} for way in WAYS}
    ways = 1 + len(WAYS)
    last = float(tally[2 * ways].sum())
    for index, (way, loss) in enumerate(zip(("", *WAYS), (*losses, None), strict=True)):
        counts = Counts(tally[0], tally[1 + index], tally[1 + ways + index], last, loss)
        values = {metric.name: metric.value(counts) if count else None for metric in CLASS_METRICS}
        (every[way] if way else found).update(values)
    for metric in CLASS_METRICS:
        naive = [value for of in every.values() if (value := of[metric.name]) is not None]
        found[f"naive_{metric.name}"] = (max if metric.rises else min)(naive) if naive else None
    found |= {f"{way}_accuracy": every[way]["accuracy"] for way in WAYS}
    loss, naive_loss = found["log_loss"], found["naive_log_loss"]
    found["skill"] = 1.0 - loss / naive_loss if count and naive_loss else None
    return found | {"count": count, "naive": every}
