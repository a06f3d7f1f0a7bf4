"""Scores of forecasts of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...base.checks import ArgumentError, check_array, check_count, check_number
from ...base.parameters import Array
from ...base.state import Part
from ..metrics import METRICS, Pairs
from ..standardise import FLOAT64, LARGEST
from .checks import INT64, LEAST, as_lines, check_rows
from .sums import Sums

__all__ = ["NumberScores", "WorstNumbers"]

TERMS = [*dict.fromkeys(term for metric in METRICS for term in metric.terms)]
OF_TRUTH, OF_FORECAST = [term for term in TERMS if term.of_truth], [term for term in TERMS if not term.of_truth]


class WorstNumbers(NamedTuple):
    """The scores of the key in `row` of the table."""

    row: int
    mae: float
    naive_mae: float
    skill: float
    labels: int


class _Errors:
    """The errors of one target, of its forecasts and of those by `naive` ways."""

    def __init__(self, capacity: int, window: int, naive: Sequence[str]) -> None:
        self._naive = naive
        self.sums = Sums(len(OF_TRUTH) + (1 + len(naive)) * len(OF_FORECAST), window)
        self.first = math.nan  # truth that counted
        self.count = np.zeros(capacity, np.int64)  # of each key, as those below
        self.error, self.naive = np.zeros(capacity), np.zeros(capacity)

    def add(self, rows: Array, said: Array, truths: Array) -> None:
        """`said` ``(1 + naive, n)`` are the forecasts, and the naive ones."""
        with np.errstate(over="ignore", invalid="ignore"):
            errors = said - truths
        counts = ~np.isnan(np.add.reduce(errors, 0))
        if np.count_nonzero(counts) < len(counts):
            some = np.flatnonzero(counts)
            rows, errors, truths = rows[some], errors.take(some, 1), truths[some]
        if not len(rows):
            return
        errors = np.clip(errors, -LARGEST, LARGEST)
        if math.isnan(self.first):
            self.first = float(truths[0])
        far = np.clip(truths - self.first, -LARGEST, LARGEST)
        pairs = [Pairs(error, truths, far) for error in errors]
        terms = [term.of(pairs[0]) for term in OF_TRUTH]
        self.sums.add(np.array([*terms, *(term.of(each) for each in pairs for term in OF_FORECAST)]))
        np.add.at(self.count, rows, 1)
        np.add.at(self.error, rows, np.abs(errors[0]))
        np.add.at(self.naive, rows, np.abs(errors[1]))

    def metrics(self) -> dict[str, dict[str, Any]]:
        return {scope: self._of(*sums) for scope, sums in self.sums.scopes().items()}

    def _of(self, sums: list[float], count: float) -> dict[str, Any]:
        found: dict[str, Any] = {}
        every: dict[str, dict[str, float | None]] = {}
        of_truth, start = dict(zip(OF_TRUTH, sums, strict=False)), len(OF_TRUTH)
        for way in ("", *self._naive):
            own = of_truth | dict(zip(OF_FORECAST, sums[start:], strict=False))
            start += len(OF_FORECAST)
            for metric in METRICS:
                value = metric.value([own[term] for term in metric.terms], count) if count else None
                (every.setdefault(way, {}) if way else found)[metric.name] = value
        for metric in METRICS:
            values = [value for of in every.values() if (value := of[metric.name]) is not None]
            found[f"naive_{metric.name}"] = (max if metric.rises else min)(values) if values else None
        mae, naive = found["mae"], found["naive_mae"]
        ratio = mae / naive if mae is not None and naive else math.inf
        found |= {"skill": 1.0 - ratio if math.isfinite(ratio) else None, "count": count}
        return found | ({"naive": every} if len(every) > 1 else {})


class NumberScores:
    """The errors of forecasts of `targets`, their names, and of naive ones, also of each of `capacity` keys.

    `naive` are the names of the naive ways, of which the first is that of single keys. `window` is in labels; an error
    above 1e140 counts as that. Raises ArgumentError where there is no target, or `capacity` or `window` is below 1.
    """

    def __init__(
        self, targets: Sequence[str], capacity: int, *, naive: Sequence[str] = ("last",), window: int = 1000
    ) -> None:
        self.targets, self.naive = tuple(targets), tuple(naive)
        if not self.targets:
            raise ArgumentError("targets", "one name at least", "none")
        self.capacity, self.window = check_count("capacity", capacity), check_count("window", window)
        self._errors = [_Errors(self.capacity, self.window, self.naive) for _ in self.targets]

    def add(self, rows: Array, forecasts: Array, naive: Array, truths: Array) -> None:
        """Take in labels, in order; one of a target counts where none of these is NaN.

        `rows` ``(n,)`` int64 are the keys' rows of the table; `forecasts` and `truths` ``(n, F)`` float64, or ``(n,)``
        of a single target, are in the units of the F targets, and `naive` ``(n, F)``, or ``(n, F, N)`` of N ways.
        Raises ArgumentError for other arrays.
        """
        check_rows(rows, self.capacity)
        n, F, N = len(rows), len(self.targets), len(self.naive)
        forecasts, truths, naive = as_lines(forecasts, F), as_lines(truths, F), as_lines(naive, F)
        if N == 1 and np.ndim(naive) == 2:
            naive = naive[:, :, None]
        for name, array in (("forecasts", forecasts), ("truths", truths)):
            check_array(name, array, (n, F), FLOAT64)
        check_array("naive", naive, (n, F, N), FLOAT64)
        for j, errors in enumerate(self._errors):
            errors.add(rows, np.concatenate((forecasts[None, :, j], naive[:, j].T)), truths[:, j])

    def forget(self, rows: Array) -> None:
        """Begin anew for the keys in these rows of the table; what they had stays in the scopes."""
        for errors in self._errors:
            errors.count[rows], errors.error[rows], errors.naive[rows] = 0, 0.0, 0.0

    def metrics(self) -> dict[str, Any]:
        """Of each scope the metrics, the best naive ones (``naive_mae`` …), ``skill`` and ``count``.

        The skill is ``1 − mae / naive_mae``. Where there are several naive ways, ``naive`` has all of each. With
        several targets these are in ``targets``, by name, and above them each scope has the mean skill, of the targets
        that have one, and the count of all labels.
        """
        scopes = [errors.metrics() for errors in self._errors]
        if len(scopes) == 1:
            return scopes[0]
        found: dict[str, Any] = {}
        for scope in scopes[0]:
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
        """The sums, and those of the keys that have labels."""
        found = Part({}, {"targets": [*self.targets], "naive": [*self.naive], "window": self.window})
        for index, errors in enumerate(self._errors):
            rows = np.flatnonzero(errors.count)
            own = {"rows": rows, "count": errors.count[rows], "error": errors.error[rows], "naive": errors.naive[rows]}
            first = None if math.isnan(errors.first) else errors.first
            part = Part.of(**{str(index): Part.of({"first": first}, sums=errors.sums.dump(), keys=Part(own, {}))})
            found = Part(found.arrays | part.arrays, found.about | part.about)
        return found

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        for name, mine in (("targets", [*self.targets]), ("naive", [*self.naive]), ("window", self.window)):
            if part.about.get(name) != mine:
                raise ArgumentError(name, str(mine), part.about.get(name))
        loaded = []
        for index in range(len(self.targets)):
            own, errors = part.part(str(index)), _Errors(self.capacity, self.window, self.naive)
            keys, first = own.part("keys"), own.about["first"]
            rows = keys.array("rows", ("n",), INT64)
            check_rows(rows, self.capacity)
            for name, table in (("count", errors.count), ("error", errors.error), ("naive", errors.naive)):
                table[rows] = keys.array(name, (len(rows),), table.dtype)
            errors.sums.load(own.part("sums"))
            errors.first = math.nan if first is None else check_number("first", first, -math.inf)
            loaded.append(errors)
        self._errors = loaded
