"""How good what was written is: BLEU beside sacrebleu's, and edit distances beside the definition."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurrio.core import ArgumentError
from recurrio.core.text.bleu import bleu
from recurrio.core.text.edit_distance import edit_distance

SENTENCES = st.lists(st.sampled_from("abcd"), max_size=9)
CORPORA = st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6)
SYMBOLS = st.lists(st.integers(0, 3), max_size=7)


@given(CORPORA)
def test_bleu_is_that_of_sacrebleu(corpus: list[tuple[list[str], list[str]]]) -> None:
    reason = "BLEU is compared with that of sacrebleu"
    metric = pytest.importorskip("sacrebleu", reason=reason).BLEU(tokenize="none", lowercase=True)
    written, wanted = [[*pair] for pair in zip(*corpus, strict=True)]
    theirs = metric.corpus_score([" ".join(one) for one in written], [[" ".join(one) for one in wanted]]).score
    assert bleu(written, wanted) == pytest.approx(theirs, abs=1e-9)


def test_bleu_by_hand() -> None:
    wanted = ["the", "cat", "is", "on", "the", "mat"]
    assert bleu([wanted], [wanted]) == pytest.approx(100)
    written = ["the", "cat", "on", "the", "mat"]  # 5 of 5, 3 of 4, 1 of 3, and 0 of 2, for which a half counts
    mean = (5 / 5 * 3 / 4 * 1 / 3 * 0.5 / 2) ** 0.25
    assert bleu([written], [wanted]) == pytest.approx(100 * mean * math.exp(1 - 6 / 5))
    mean = (2 / 4 * 0.5 / 3 * 0.25 / 2 * 0.125 / 1) ** 0.25  # a word counts as often as it is wanted
    assert bleu([["the"] * 4], [wanted]) == pytest.approx(100 * mean * math.exp(1 - 6 / 4))
    assert bleu([[]], [wanted]) == bleu([["dog"] * 9], [wanted]) == bleu([wanted[:3]], [wanted]) == 0
    with pytest.raises(ArgumentError, match="wanted: expected 1 sentences, as were written, got 2"):
        bleu([wanted], [wanted, wanted])


@cache
def levenshtein(written: tuple[int, ...], wanted: tuple[int, ...]) -> int:
    """By its definition."""
    if not written or not wanted:
        return len(written) + len(wanted)
    *rest, last = written
    *others, other = wanted
    replaced = levenshtein(tuple(rest), tuple(others)) + (last != other)
    return min(replaced, levenshtein(tuple(rest), wanted) + 1, levenshtein(written, tuple(others)) + 1)


@given(SYMBOLS, SYMBOLS)
def test_the_edit_distance_is_that_of_its_definition(written: list[int], wanted: list[int]) -> None:
    arrays = [np.array(each, np.int64) for each in (written, wanted)]
    assert edit_distance(*arrays) == levenshtein(tuple(written), tuple(wanted))
