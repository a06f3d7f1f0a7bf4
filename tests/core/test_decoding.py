"""Greedy and beam search: beside a search through all targets there are."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pairs import pad

from recurrio.core import ArgumentError, EncoderDecoder
from recurrio.core.seq2seq import Hypothesis, beam, decoding, greedy
from recurrio.core.seq2seq.scores import SCORES

V, W, START, END = 5, 3, 0, 2


def make_model(seed: int, attention: str | None, **options: Any) -> EncoderDecoder:  # noqa: ANN401 (its own)
    sizes = {"embedding_size": 4, "hidden_size": 5, "dtype": "float64"} | options
    model = EncoderDecoder(V, W, start=START, end=END, attention=attention, seed=seed, **sizes)
    model.parameters *= 3  # so that not all is as likely
    return model


def log_probabilities(model: EncoderDecoder, source: list[int], target: list[int]) -> float:
    """That of all of a target, by teacher forcing."""
    outputs = model(pad([source], 0), pad([target], 0))[:, 0]
    likely = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    return float(likely[np.arange(len(target)), target].sum())


def all_targets(limit: int) -> list[list[int]]:
    """Those that end within the limit, and those that have not ended at it."""
    others = [symbol for symbol in range(W) if symbol != END]
    ended = [[*symbols, END] for length in range(limit) for symbols in product(others, repeat=length)]
    return ended + [list(symbols) for symbols in product(others, repeat=limit)]


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    attention=st.sampled_from([None, *SCORES]),
    cell=st.sampled_from(["gru", "lstm"]),
    penalty=st.sampled_from([0.0, 0.7, 1.0]),
    feeding=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_wide_beam_is_a_search_through_all(
    lengths: list[int], attention: str | None, cell: str, penalty: float, feeding: bool, seed: int
) -> None:
    options = {"num_layers": 2, "bidirectional": attention != "dot", "input_feeding": feeding and attention is not None}
    model, rng = make_model(seed, attention, cell=cell, **options), np.random.default_rng(seed)
    sources, limit = [rng.integers(0, V, length).tolist() for length in lengths], 4
    found = beam(model, pad(sources, 0), np.array(lengths), width=60, limit=limit, length_penalty=penalty)
    for source, hypotheses in zip(sources, found, strict=True):
        targets = all_targets(limit)
        scores = [log_probabilities(model, source, target) / len(target) ** penalty for target in targets]
        assert len(hypotheses) == len(targets) == 31
        order = np.argsort(scores)[::-1]
        np.testing.assert_allclose([each.score for each in hypotheses], np.array(scores)[order], rtol=1e-9)
        for hypothesis in hypotheses:
            target = hypothesis.symbols + [END] * hypothesis.ended
            assert scores[targets.index(target)] == pytest.approx(hypothesis.score, rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    attention=st.sampled_from([None, *SCORES]),
    limit=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_a_beam_of_one_is_greedy(lengths: list[int], attention: str | None, limit: int, seed: int) -> None:
    model = make_model(seed, attention, input_feeding=attention is not None and seed % 2 == 0)
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, V, (4, len(lengths)))
    ours = greedy(model, inputs, np.array(lengths), limit=limit)
    by_beam = beam(model, inputs, np.array(lengths), width=1, limit=limit, length_penalty=0)
    for one, (other,) in zip(ours, by_beam, strict=True):
        assert (one.symbols, one.ended) == (other.symbols, other.ended)
        assert one.score == pytest.approx(other.score, rel=1e-12)
    for lane, hypothesis in enumerate(ours):  # a lane is what it is alone, and its symbols are the likeliest
        if not lengths[lane]:
            continue
        (alone,) = greedy(model, inputs[: lengths[lane], lane : lane + 1], limit=limit)
        assert alone.symbols == hypothesis.symbols
        target = hypothesis.symbols + [END] * hypothesis.ended
        assert len(target) <= limit
        outputs = model(inputs[: lengths[lane], lane : lane + 1], pad([target], 0))
        assert outputs.argmax(axis=2)[:, 0].tolist() == target


@pytest.mark.parametrize("penalty", [0.0, 0.5, 1.0])
def test_a_lane_ends_when_nothing_can_come_among_the_best(penalty: float, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, step = list[int](), decoding._Writer.step

    def counted(writer: Any, symbols: np.ndarray) -> np.ndarray:  # noqa: ANN401
        steps[-1] += 1
        return step(writer, symbols)

    def search() -> list[list[list[Hypothesis]]]:
        steps.append(0)
        return [beam(model, inputs, width=2, limit=12, length_penalty=penalty) for model in models]

    monkeypatch.setattr(decoding._Writer, "step", counted)
    models, inputs = [make_model(seed, "dot") for seed in range(20)], np.random.default_rng(0).integers(0, V, (4, 6))
    found = search()
    monkeypatch.setattr(decoding._Best, "least", -np.inf)  # so that none ends
    assert search() == found
    assert steps[0] < steps[1] == 12 * len(models)


def test_it_ends_at_once_where_the_end_is_certain() -> None:
    model, inputs = make_model(3, None), np.zeros((2, 3), int)
    head = model.layout.views(model.parameters)["head.matrix"]
    head[END], head[END, 0] = 0, 50
    assert greedy(model, inputs, limit=10**6) == [Hypothesis([], pytest.approx(0, abs=1e-9), True)] * 3
    for hypotheses in beam(model, inputs, width=2, limit=10**6, length_penalty=0):
        assert [each.symbols for each in hypotheses[:1]] == [[]]


def test_arguments_that_are_none_are_refused() -> None:
    model, inputs = make_model(0, None), np.zeros((2, 3), int)
    for options, name in (({"width": 0}, "width"), ({"limit": 0}, "limit"), ({"length_penalty": -1}, "length_penalty")):
        with pytest.raises(ArgumentError, match=f"{name}: expected"):
            beam(model, inputs, **options)
    with pytest.raises(ArgumentError, match="inputs: expected indices"):
        greedy(model, inputs + V)
    with pytest.raises(ArgumentError, match="lengths: expected"):
        greedy(model, inputs, np.array([1, 2, 3]))
    model.parameters[:] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        greedy(model, inputs)
