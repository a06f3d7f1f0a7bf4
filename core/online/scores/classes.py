"""Scores of forecasts of classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...base.checks import ArgumentError, check_array, check_count
from ...base.parameters import Array
from ...base.state import Part
from ..standardise import FLOAT64, fitting
from .checks import INT64, LEAST, as_lines, check_rows
from .sums import Window

__all__ = ["ClassScores", "WorstClasses"]


class WorstClasses(NamedTuple):
    """The scores of the key in `row` of the table."""

    row: int
    accuracy: float
    naive_accuracy: float
    labels: int


class ClassScores:
    """How often a predicted class was right; beside it, the most frequent class so far, and the key's last class.

    `classes` are numbered from 0, `capacity` is how many keys there are, `window` is in labels. Raises ArgumentError
    where one is below 1.
    """

    def __init__(self, classes: int, capacity: int, *, window: int = 1000) -> None:
        self.classes, self.capacity = check_count("classes", classes), check_count("capacity", capacity)
        self.window = check_count("window", window)
        self._seen, self._majority = np.zeros(self.classes, np.int64), -1
        self._sums = np.zeros(3, np.int64)  # right ones of the forecast, the majority, the last class
        self._window = Window(3, self.window)
        self._keys = np.zeros((4, self.capacity), np.int64)  # labels of each key, and right ones of the three

    def add(self, rows: Array, predicted: Array, last: Array, truths: Array) -> None:
        """Take in labels, in order; one counts where the prediction and the truth are there.

        `rows` ``(n,)`` int64 are the keys' rows of the table. The others are classes ``(n,)`` or ``(n, 1)``, int64 with
        −1 or float64 with NaN where there is none. `last` is the last class of the same key that was known when the
        prediction was made; none is wrong. Raises ArgumentError for other arrays, and for a truth that is no class.
        """
        check_rows(rows, self.capacity)
        predicted = _as_classes("predicted", predicted, len(rows))
        last, truths = _as_classes("last", last, len(rows)), _as_classes("truths", truths, len(rows))
        counts = (truths >= 0) & (predicted >= 0)
        if not counts.all():
            rows, predicted, truths, last = rows[counts], predicted[counts], truths[counts], last[counts]
        if len(truths) and truths.max() >= self.classes:
            raise ArgumentError("truths", f"classes below {self.classes}", truths.max())
        right = np.array([predicted == truths, self._majorities(truths) == truths, last == truths])
        self._sums += np.add.reduce(right, 1, np.int64)
        self._window.add(right)
        np.add.at(self._keys[0], rows, 1)
        for line, hits in zip(self._keys[1:], right, strict=True):
            np.add.at(line, rows[hits], 1)

    def _majorities(self, truths: Array) -> Array:
        """The most frequent class before each of these labels, the first to be so of several, −1 before any."""
        majority, counts = self._majority, self._seen.tolist()
        self._seen = self._seen + np.bincount(truths, minlength=self.classes)
        found = np.full(len(truths), majority, np.int64)
        others = self._seen.copy()
        if majority >= 0:
            others[majority] = 0
            if others.max() <= counts[majority]:
                return found  # none can have come before it
        most = counts[majority] if majority >= 0 else 0
        for place, truth in enumerate(truths.tolist(), 1):
            count = counts[truth] = counts[truth] + 1
            if count > most:
                most = count
                if truth != majority:
                    majority = truth
                    found[place:] = majority
        self._majority = majority
        return found

    def forget(self, rows: Array) -> None:
        """Begin anew for the keys in these rows of the table; what they had stays in `all` and `window`."""
        self._keys[:, rows] = 0

    def metrics(self) -> dict[str, dict[str, Any]]:
        """``{"all": …, "window": …}``, each with accuracy, naive_accuracy, majority_accuracy, last_accuracy and count.

        `naive_accuracy` is the better of the two: the class that was most frequent so far, and the last of the key.
        """
        lines = self._window.lines()
        return {
            "all": _class_metrics(self._sums, self._window.count),
            "window": _class_metrics(np.add.reduce(lines, 1), lines.shape[1]),
        }

    def worst(self, k: int = 5) -> list[WorstClasses]:
        """The `k` keys with the lowest accuracy, lowest first, of those with 20 labels and more."""
        rows = np.flatnonzero(self._keys[0] >= LEAST)
        count, right, majority, last = self._keys[:, rows]
        order = np.argsort(right / np.maximum(count, 1), kind="stable")[:k]
        columns = (rows, right / np.maximum(count, 1), np.maximum(majority, last) / np.maximum(count, 1), count)
        return [WorstClasses(*line) for line in zip(*[column[order].tolist() for column in columns], strict=True)]

    def dump(self) -> Part:
        """The counts, the window, and those of the keys that have labels."""
        rows = np.flatnonzero(self._keys[0])
        arrays = {"seen": self._seen.copy(), "sums": self._sums.copy(), "window": self._window.lines()}
        arrays |= {"rows": rows, "keys": self._keys.take(rows, 1)}
        return Part(arrays, {"window": self.window, "count": self._window.count, "majority": self._majority})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        names, about = set(self.dump().arrays), part.about
        arrays = fitting(part, {"window": self.window}, names, ("count", "majority"))
        check_array("seen", arrays["seen"], (self.classes,), INT64)
        check_array("sums", arrays["sums"], (3,), INT64)
        count = check_count("count", about["count"], 0)
        check_array("window", arrays["window"], (3, min(count, self.window)), FLOAT64)
        check_rows(arrays["rows"], self.capacity)
        check_array("keys", arrays["keys"], (4, len(arrays["rows"])), INT64)
        self._majority = check_count("majority", about["majority"], -1, self.classes - 1)
        self._seen, self._sums = arrays["seen"].copy(), arrays["sums"].copy()
        self._window = Window(3, self.window)
        self._window.load(arrays["window"], count)
        self._keys = np.zeros((4, self.capacity), np.int64)
        self._keys[:, arrays["rows"]] = arrays["keys"]


def _as_classes(name: str, array: Array, length: int) -> Array:
    array = as_lines(array, 1)
    floating = getattr(array, "dtype", None) == FLOAT64
    check_array(name, array, (length, 1), FLOAT64 if floating else INT64)
    line = array[:, 0]
    return np.where(np.isnan(line), -1, line).astype(np.int64) if floating else line


def _class_metrics(right: Array, count: int) -> dict[str, Any]:
    names = ("accuracy", "naive_accuracy", "majority_accuracy", "last_accuracy")
    if not count:
        return dict.fromkeys(names) | {"count": 0}
    accuracy, majority, last = (right / count).tolist()
    return dict(zip(names, (accuracy, max(majority, last), majority, last), strict=True)) | {"count": count}
