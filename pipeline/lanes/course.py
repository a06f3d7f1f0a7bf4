"""How what an encoder has learned went on over the last records: what it had learned with each of them."""

from __future__ import annotations

import numpy as np

from ...core.base.parameters import Array
from ...core.online.categories import OTHER
from ...core.online.encoder import Encoder, Scales
from ...core.online.learned import Learned

__all__ = ["Course"]


class Course:
    """Of n records from number `first` on; `before` is the course of those before them.

    `scales` are what each was scaled by, `categories` ``(n, …)`` the numbers of theirs, and `classes` ``(n + 1,)`` how
    many classes there were before them, and with each.
    """

    def __init__(
        self,
        encoder: Encoder,
        first: int,
        scales: Scales,
        categories: Array,
        classes: Array | None,
        before: Course | None,
    ) -> None:
        self._first = first
        self._of_each, self._scales = bool(encoder.keys), scales  # of each key, or one for all
        self._classes = classes
        count = categories.shape[1]
        self._known, self._others = np.zeros((1, 0), np.int64), np.zeros((1, 0), bool)
        if count:
            numbers = categories.astype(np.int64)
            known = np.zeros(count, np.int64) if before is None else before._known[-1]
            others = np.zeros(count, bool) if before is None else before._others[-1]
            self._known = np.maximum.accumulate(np.vstack((known, numbers)), axis=0)[1:]
            self._others = np.logical_or.accumulate(np.vstack((others, numbers == OTHER)), axis=0)[1:]

    @classmethod
    def of(cls, encoder: Encoder, number: int, learned: Learned) -> Course:
        """That of the record of this number alone, with which this had been `learned`."""
        mean, deviation, chosen = (np.zeros(0) if part is None else part for part in learned[:3])
        scales = Scales(mean[None], deviation[None], np.array([learned.weight]), chosen[None])
        nothing, classes = np.zeros((1, len(learned.known))), np.array([learned.classes] * 2)
        course = cls(encoder, number, scales, nothing, classes, None)
        course._known, course._others = np.array([learned.known], np.int64), np.array([learned.others], bool)
        return course

    def at(self, number: int) -> Learned:
        """What had been learned with the record of this number."""
        at = number - self._first
        mean, deviation, weight, chosen = self._scales
        row = at if self._known.shape[1] else 0
        known, others = tuple(self._known[row].tolist()), tuple(self._others[row].tolist())
        classes = 0 if self._classes is None else int(self._classes[at + 1])
        rest = float(weight[at]), known, others, classes
        if self._of_each:
            return Learned(None, None, None, *rest)
        return Learned(mean[at].copy(), deviation[at].copy(), chosen[at].copy(), *rest)
