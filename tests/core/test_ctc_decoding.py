"""Decoding of CTC: the best path, and the beam against the sum over all paths."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core import ArgumentError, CTCLoss, ctc_beam, ctc_greedy

Array = np.ndarray


def collapsed(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(label for label, _ in groupby(path) if label != blank)


def of_all_paths(outputs: Array, blank: int) -> dict[tuple[int, ...], float]:
    """The probability of all labels that a lane ``(T, V)`` can have, summed over the paths that give them."""
    p, sums = np.exp(outputs), defaultdict[tuple[int, ...], float](float)
    p /= p.sum(axis=1, keepdims=True)
    for path in product(range(p.shape[1]), repeat=len(p)):
        sums[collapsed(path, blank)] += float(np.prod(p[np.arange(len(p)), path]))
    return sums


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 5), st.integers(1, 3), st.data())
def test_a_wide_beam_is_the_sum_over_all_paths(steps: int, classes: int, data: st.DataObject) -> None:
    blank = data.draw(st.integers(0, classes - 1))
    outputs = np.random.default_rng(data.draw(st.integers(0, 999))).standard_normal((steps, 2, classes)) * 2
    for lane, found in enumerate(ctc_beam(outputs, beam=1000, blank=blank)):
        expected = of_all_paths(outputs[:, lane], blank)
        assert {tuple(labels.tolist()): pytest.approx(np.exp(score)) for labels, score in found} == expected
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
        for labels, score in found if steps else []:
            loss = CTCLoss(blank, reduction="sum")(outputs[:, lane : lane + 1], labels[:, None])
            assert score == pytest.approx(-loss, abs=1e-9)


def test_a_beginning_that_left_the_beam_and_comes_back_is_the_same_one() -> None:
    """With a narrow beam no labels are there twice (of these, 52, 91 and 95 come back), and no score is too high."""
    for seed in range(50, 100):
        outputs = np.random.default_rng(seed).standard_normal((20, 1, 3))
        (found,) = ctc_beam(outputs, beam=4)
        labels = [tuple(hypothesis.labels.tolist()) for hypothesis in found]
        assert len(set(labels)) == len(labels) == 4
        for one, score in found:
            assert score <= 1e-9 - CTCLoss(reduction="sum")(outputs, one[:, None])


def test_the_beam_sees_what_the_best_path_does_not() -> None:
    """Two steps, blank 0.6 each: the best path is no label, with 0.36, but one label has 0.64."""
    outputs = np.log(np.array([[[0.6, 0.4]], [[0.6, 0.4]]]))
    assert [labels.tolist() for labels in ctc_greedy(outputs)] == [[]]
    for beam in (2, 5):
        ((first, second, *_),) = ctc_beam(outputs, beam=beam)
        assert (first.labels.tolist(), second.labels.tolist()) == ([1], [])
        assert np.exp([first.score, second.score]).tolist() == pytest.approx([0.64, 0.36])
    assert len(ctc_beam(outputs, beam=1)[0]) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_best_path(dtype: str) -> None:
    path = np.array([[1, 1, 2, 2, 1, 2, 0, 0], [2] * 8, [0, 1, 2, 0, 1, 1, 2, 0]]).T
    outputs = np.eye(3, dtype=dtype)[path] * 9
    read = [labels.tolist() for labels in ctc_greedy(outputs, blank=2)]
    assert read == [[1, 1, 0], [], [0, 1, 0, 1, 0]]
    assert [labels.tolist() for labels in ctc_greedy(outputs, np.array([5, 8, 0]), blank=2)] == [[1, 1], [], []]
    assert [labels.tolist() for labels in ctc_greedy(outputs, np.array([2, 1, 3]))] == [[1], [2], [1, 2]]
    best = [beam[0] for beam in ctc_beam(outputs, np.array([5, 8, 0]), blank=2)]
    assert [labels.tolist() for labels, _ in best] == [[1, 1], [], []]
    assert all(labels.dtype == np.int64 for labels in [*ctc_greedy(outputs), *(labels for labels, _ in best)])


def test_what_lies_behind_the_length_does_not_matter() -> None:
    outputs, lengths = np.random.default_rng(0).standard_normal((6, 2, 4)), np.array([2, 6])
    read, beams = ctc_greedy(outputs, lengths), ctc_beam(outputs, lengths)
    outputs[2:, 0] = np.nan
    assert [labels.tolist() for labels in ctc_greedy(outputs, lengths)] == [labels.tolist() for labels in read]
    assert [score for _, score in ctc_beam(outputs, lengths)[0]] == [score for _, score in beams[0]]


@pytest.mark.parametrize("decode", [ctc_greedy, ctc_beam])
def test_arguments_that_are_refused(decode: object) -> None:
    assert callable(decode)
    outputs = np.zeros((3, 2, 4), np.float32)
    spoilt = [outputs.copy() for _ in range(3)]
    spoilt[0][1, 1, 2], spoilt[1][1, 1, 2], spoilt[2][1, 1] = np.nan, np.inf, -np.inf
    for array in spoilt:
        with pytest.raises(ArgumentError, match=r"outputs: expected a best class .* got none in lane 1"):
            decode(array)
    for arguments, message in (
        ((outputs[0],), "outputs: expected"),
        ((outputs.astype(int),), r"outputs: expected float32 or float64 \(T, B, V\)"),
        ((outputs, np.array([4, 0])), r"lengths: expected whole numbers from 0 to 3 \(T\)"),
    ):
        with pytest.raises(ArgumentError, match=message):
            decode(*arguments)
    with pytest.raises(ArgumentError, match="blank: expected one of the classes 0…3, got 4"):
        decode(outputs, blank=4)
    with pytest.raises(ArgumentError, match="beam: expected a whole number of at least 1"):
        ctc_beam(outputs, beam=0)
