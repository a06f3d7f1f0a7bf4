"""Scores of forecasts that were made before the truth was known, each beside that of a naive forecast.

`all` is over all labels so far, `window` over the last ones. Sums are in order, in float64: the same labels give the
same bits however they are divided into calls. Where a score means nothing it is None, and never infinite or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import ArgumentError, check_array, check_count
from ..base.parameters import Array
from ..base.state import Part
from .standardise import FLOAT64, LARGEST, fitting

__all__ = ["ClassScores", "NumberScores", "WorstClasses", "WorstNumbers"]

LEAST = 20  # labels of a key that say something of it
INT64 = np.dtype(np.int64)


class WorstNumbers(NamedTuple):
    """The scores of the key in `row` of the table."""

    row: int
    mae: float
    naive_mae: float
    skill: float
    labels: int


class WorstClasses(NamedTuple):
    """The scores of the key in `row` of the table."""

    row: int
    accuracy: float
    naive_accuracy: float
    labels: int


class _Window:
    """The last `length` columns of a few lines of numbers."""

    def __init__(self, lines: int, length: int) -> None:
        self._last, self.count = np.zeros((lines, length)), 0

    def add(self, lines: Array) -> None:
        """Take in the columns ``(lines, n)`` in order; the oldest leave."""
        length, n = self._last.shape[1], lines.shape[1]
        begin, lines = self.count + n - min(n, length), lines[:, -length:] if n else lines
        place = begin % length
        here = min(length - place, lines.shape[1])
        self._last[:, place : place + here] = lines[:, :here]
        self._last[:, : lines.shape[1] - here] = lines[:, here:]
        self.count += n

    def lines(self) -> Array:
        """The columns that there are, oldest first."""
        length = self._last.shape[1]
        if self.count <= length:
            return self._last[:, : self.count].copy()
        return np.roll(self._last, -(self.count % length), axis=1)

    def load(self, lines: Array, count: int) -> None:
        """Take up what `lines` gave, of `count` columns in all."""
        self.count = count - lines.shape[1]
        self.add(lines)


class _Errors:
    """The errors of one target."""

    def __init__(self, capacity: int, window: int) -> None:
        self.sums = np.zeros((4, 1))  # of |e|, |naive e|, and their squares
        self.window = _Window(2, window)
        self.count = np.zeros(capacity, np.int64)  # of each key, as those below
        self.error, self.naive = np.zeros(capacity), np.zeros(capacity)

    def add(self, rows: Array, forecasts: Array, naive: Array, truths: Array) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            errors = np.array([forecasts, naive]) - truths
        np.minimum(np.abs(errors, errors), LARGEST, out=errors)
        counts = ~np.isnan(errors[0] + errors[1])
        if np.count_nonzero(counts) < len(counts):
            some = np.flatnonzero(counts)
            rows, errors = rows[some], errors.take(some, 1)
        terms = np.concatenate([self.sums, np.concatenate([errors, errors * errors])], axis=1)
        self.sums = np.add.accumulate(terms, axis=1)[:, -1:]
        self.window.add(errors)
        np.add.at(self.count, rows, 1)
        np.add.at(self.error, rows, errors[0])
        np.add.at(self.naive, rows, errors[1])

    def metrics(self) -> dict[str, dict[str, Any]]:
        last = self.window.lines()
        sums = np.add.reduce(np.concatenate([last, last * last]), 1)
        return {
            "all": _number_metrics(self.sums[:, 0], self.window.count),
            "window": _number_metrics(sums, last.shape[1]),
        }


class NumberScores:
    """The errors of forecasts of `targets`, their names, and of naive ones, also of each of `capacity` keys.

    `window` is in labels; an error above 1e140 counts as that. Raises ArgumentError where there is no target, or
    `capacity` or `window` is below 1.
    """

    def __init__(self, targets: Sequence[str], capacity: int, *, window: int = 1000) -> None:
        self.targets = tuple(targets)
        if not self.targets:
            raise ArgumentError("targets", "one name at least", "none")
        self.capacity, self.window = check_count("capacity", capacity), check_count("window", window)
        self._errors = [_Errors(self.capacity, self.window) for _ in self.targets]

    def add(self, rows: Array, forecasts: Array, naive: Array, truths: Array) -> None:
        """Take in labels, in order; one of a target counts where none of the three is NaN.

        `rows` ``(n,)`` int64 are the keys' rows of the table; `forecasts`, `naive` and `truths` ``(n, F)`` float64, or
        ``(n,)`` of a single target, are in the units of the F targets. Raises ArgumentError for other arrays.
        """
        _check_rows(rows, self.capacity)
        given = []
        for name, array in (("forecasts", forecasts), ("naive", naive), ("truths", truths)):
            lines = _as_lines(array, len(self.targets))
            check_array(name, lines, (len(rows), len(self.targets)), FLOAT64)
            given.append(lines)
        for errors, *of_target in zip(self._errors, *[lines.T for lines in given], strict=True):
            errors.add(rows, *of_target)

    def forget(self, rows: Array) -> None:
        """Begin anew for the keys in these rows of the table; what they had stays in `all` and `window`."""
        for errors in self._errors:
            errors.count[rows], errors.error[rows], errors.naive[rows] = 0, 0.0, 0.0

    def metrics(self) -> dict[str, Any]:
        """``{"all": …, "window": …}``, each with mae, rmse, naive_mae, naive_rmse, skill and count.

        The skill is ``1 − mae / naive_mae``. With several targets these are in ``targets``, by name, and above them
        `all` and `window` have the mean skill, of the targets that have one, and the count of all labels.
        """
        scopes = [errors.metrics() for errors in self._errors]
        if len(scopes) == 1:
            return scopes[0]
        found: dict[str, Any] = {}
        for scope in ("all", "window"):
            skills = [metrics[scope]["skill"] for metrics in scopes if metrics[scope]["skill"] is not None]
            skill = math.fsum(skills) / len(skills) if skills else None
            found[scope] = {"skill": skill, "count": sum(metrics[scope]["count"] for metrics in scopes)}
        return found | {"targets": dict(zip(self.targets, scopes, strict=True))}

    def worst(self, k: int = 5, target: int = 0) -> list[WorstNumbers]:
        """The `k` keys with the lowest skill, lowest first, of those with 20 labels and more.

        A key with a naive error of 0 has no skill, and is left out.
        """
        errors = self._errors[target]
        rows = np.flatnonzero((errors.count >= LEAST) & (errors.naive > 0))
        count = errors.count[rows]
        mae, naive = errors.error[rows] / count, errors.naive[rows] / count
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            skill = np.maximum(1.0 - mae / naive, -np.finfo(FLOAT64).max)
        order = np.argsort(skill, kind="stable")[:k]
        lines = zip(*[column[order].tolist() for column in (rows, mae, naive, skill, count)], strict=True)
        return [WorstNumbers(*line) for line in lines if line[2] > 0]

    def dump(self) -> Part:
        """The sums, the windows, and those of the keys that have labels."""
        arrays: dict[str, Array] = {}
        for index, errors in enumerate(self._errors):
            rows = np.flatnonzero(errors.count)
            own = {"sums": errors.sums[:, 0].copy(), "window": errors.window.lines(), "rows": rows}
            own |= {"count": errors.count[rows], "error": errors.error[rows], "naive": errors.naive[rows]}
            arrays |= {f"{index}.{name}": array for name, array in own.items()}
        counts = [errors.window.count for errors in self._errors]
        return Part(arrays, {"targets": [*self.targets], "window": self.window, "counts": counts})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        settings = {"targets": [*self.targets], "window": self.window}
        arrays, about = fitting(part, settings, set(self.dump().arrays), ("counts",)), part.about
        loaded = []
        for index in range(len(self.targets)):
            count = check_count("counts", about["counts"][index], 0)
            own = {name: arrays[f"{index}.{name}"] for name in ("sums", "window", "rows", "count", "error", "naive")}
            check_array("sums", own["sums"], (4,), FLOAT64)
            check_array("window", own["window"], (2, min(count, self.window)), FLOAT64)
            rows = own["rows"]
            _check_rows(rows, self.capacity)
            check_array("count", own["count"], (len(rows),), INT64)
            errors = _Errors(self.capacity, self.window)
            errors.sums = own["sums"][:, None].copy()
            errors.window.load(own["window"], count)
            errors.count[rows], errors.error[rows], errors.naive[rows] = own["count"], own["error"], own["naive"]
            loaded.append(errors)
        self._errors = loaded


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
        self._window = _Window(3, self.window)
        self._keys = np.zeros((4, self.capacity), np.int64)  # labels of each key, and right ones of the three

    def add(self, rows: Array, predicted: Array, last: Array, truths: Array) -> None:
        """Take in labels, in order; one counts where the prediction and the truth are there.

        `rows` ``(n,)`` int64 are the keys' rows of the table. The others are classes ``(n,)`` or ``(n, 1)``, int64 with
        −1 or float64 with NaN where there is none. `last` is the last class of the same key that was known when the
        prediction was made; none is wrong. Raises ArgumentError for other arrays, and for a truth that is no class.
        """
        _check_rows(rows, self.capacity)
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
        _check_rows(arrays["rows"], self.capacity)
        check_array("keys", arrays["keys"], (4, len(arrays["rows"])), INT64)
        self._majority = check_count("majority", about["majority"], -1, self.classes - 1)
        self._seen, self._sums = arrays["seen"].copy(), arrays["sums"].copy()
        self._window = _Window(3, self.window)
        self._window.load(arrays["window"], count)
        self._keys = np.zeros((4, self.capacity), np.int64)
        self._keys[:, arrays["rows"]] = arrays["keys"]


def _check_rows(rows: Array, capacity: int) -> None:
    check_array("rows", rows, ("n",), INT64)
    if len(rows) and not (rows.min() >= 0 and rows.max() < capacity):
        raise ArgumentError("rows", f"rows from 0 to {capacity - 1}", f"{rows.min()} to {rows.max()}")


def _as_lines(array: Array, width: int) -> Array:
    """A single target's ``(n,)`` as ``(n, 1)``."""
    return array[:, None] if width == 1 and np.ndim(array) == 1 else array


def _as_classes(name: str, array: Array, length: int) -> Array:
    array = _as_lines(array, 1)
    floating = getattr(array, "dtype", None) == FLOAT64
    check_array(name, array, (length, 1), FLOAT64 if floating else INT64)
    line = array[:, 0]
    return np.where(np.isnan(line), -1, line).astype(np.int64) if floating else line


def _number_metrics(sums: Array, count: int) -> dict[str, Any]:
    """The scores of the sums of |e|, |naive e| and their squares."""
    if not count:
        return dict.fromkeys(("mae", "rmse", "naive_mae", "naive_rmse", "skill")) | {"count": 0}
    mae, naive_mae, square, naive_square = (sums / count).tolist()
    ratio = mae / naive_mae if naive_mae > 0 else math.inf
    skill = 1.0 - ratio if math.isfinite(ratio) else None
    roots = {"rmse": math.sqrt(square), "naive_rmse": math.sqrt(naive_square)}
    return {"mae": mae, "naive_mae": naive_mae} | roots | {"skill": skill, "count": count}


def _class_metrics(right: Array, count: int) -> dict[str, Any]:
    names = ("accuracy", "naive_accuracy", "majority_accuracy", "last_accuracy")
    if not count:
        return dict.fromkeys(names) | {"count": 0}
    accuracy, majority, last = (right / count).tolist()
    return dict(zip(names, (accuracy, max(majority, last), majority, last), strict=True)) | {"count": count}
