"""Categories that are learned as the records come: texts get numbers in the order in which they were first seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..base.checks import ArgumentError, check_count
from ..base.parameters import Array

__all__ = ["MISSING", "OTHER", "Categories"]

MISSING = -1
OTHER = 0
NEW = -2


class Categories:
    """Numbers 1 … `most` for the first `most` texts that come, 0 for all others, −1 for one that is missing.

    `texts` are those that have a number, in order, and `other` is how many came that have none. Texts differ by code
    point. Raises ArgumentError where `most` is below 0.
    """

    def __init__(self, most: int) -> None:
        self.most = check_count("most", most, 0)
        self.texts: list[str] = []
        self.other = 0
        self._numbers: dict[str | None, int] = {None: MISSING}

    def __len__(self) -> int:
        return len(self.texts)

    def encode(self, texts: Iterable[str | None], *, learns: bool = True) -> Array:
        """The numbers ``(n,)`` int64 of `texts`, None where missing; the new ones among them get theirs.

        Where not `learns`, a new one is among the others, and nothing changes.
        """
        known, texts = self._numbers, list(texts)
        if not learns:
            return np.array([known.get(text, OTHER) for text in texts], np.int64)
        numbers = [known.get(text, NEW) for text in texts]
        if NEW in numbers:
            for place, number in enumerate(numbers):
                if number == NEW:
                    numbers[place] = self._learn(texts[place])
        return np.array(numbers, np.int64)

    def _learn(self, text: str | None) -> int:
        number = self._numbers.get(text)
        if number is None and text is not None:
            if len(self.texts) == self.most:
                self.other += 1
                return OTHER
            self.texts.append(text)
            number = self._numbers[text] = len(self.texts)
        return MISSING if number is None else number

    def dump(self) -> dict[str, Any]:
        """The texts, and the count of others, as plain JSON."""
        return {"most": self.most, "texts": self.texts[:], "other": self.other}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        if set(state) != {"most", "texts", "other"}:
            raise ArgumentError("state", "most, texts, other", ", ".join(state))
        if state["most"] != self.most:
            raise ArgumentError("most", str(self.most), state["most"])
        texts, other = state["texts"], check_count("other", state["other"], 0)
        fits = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        if not fits or len(texts) > self.most or len(set(texts)) < len(texts):
            raise ArgumentError("texts", f"up to {self.most} different texts", repr(texts))
        self.texts, self.other = texts[:], other
        self._numbers = {None: MISSING} | {text: number for number, text in enumerate(texts, 1)}
