"""BLEU: how much of what was written is what was wanted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from ..base.checks import ArgumentError

__all__ = ["bleu"]

ORDER = 4


def bleu(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    """The BLEU of sentences of words, from 0 to 100, beside the one that was `wanted` of each.

    It is the geometric mean of the precisions of runs of one to four words, counted over all sentences, and less where
    fewer words were written than wanted. An order without any right run counts half a run, the next such a quarter.
    Sources: Papineni and others (2002); sacrebleu, of which this is the default with ``tokenize="none"``. Raises
    ArgumentError where there are not as many of both.
    """
    if len(written) != len(wanted):
        raise ArgumentError("wanted", f"{len(written)} sentences, as were written", len(wanted))
    right, runs = [0] * ORDER, [0] * ORDER
    for sentence, reference in zip(written, wanted, strict=True):
        for order in range(ORDER):
            found = _runs(sentence, order + 1)
            right[order] += (found & _runs(reference, order + 1)).total()
            runs[order] += found.total()
    if not right[0] or not runs[-1]:
        return 0.0
    logarithm, none = 0.0, 0
    for matches, total in zip(right, runs, strict=True):
        none += not matches
        logarithm += math.log((matches or 0.5**none) / total) / ORDER
    shortness = sum(map(len, wanted)) / sum(map(len, written))
    return 100 * math.exp(logarithm + min(0, 1 - shortness))


def _runs(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """The runs of `order` words, and how often each is there."""
    return Counter(zip(*(words[place:] for place in range(order)), strict=False))
