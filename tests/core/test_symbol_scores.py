"""The scores of symbols: against a plain loop, and a pass that goes on from where it was."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.text.symbol_scores import SymbolScores

V = 5


def batches(seed: int, count: int) -> tuple[list[Array], list[float]]:
    """Targets ``(3, 2)``, and the mean loss of each batch."""
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, V, (count, 3, 2))), rng.uniform(0.5, 2, count).tolist()


def test_against_a_plain_loop() -> None:
    scores, (targets, losses) = SymbolScores(V), batches(0, 12)
    losses[4] = math.nan  # does not count; its symbols have been seen
    seen, naive, nats = [0] * V, 0.0, 0.0
    for index, (batch, loss) in enumerate(zip(targets * 2, losses * 2, strict=True)):
        symbols = batch.ravel().tolist()
        if index < 12 and math.isfinite(loss):
            nats += 6 * loss
            naive -= sum(math.log2((seen[symbol] + 1) / (sum(seen) + V)) for symbol in symbols)
        for symbol in symbols:
            seen[symbol] += 1
        scores.come(batch, begins=index in (0, 12))  # a second pass is of what has been learned from
        scores.learned(loss)
    bits = nats / math.log(2)
    expected = {"bits_per_symbol": bits / 66, "naive_bits_per_symbol": naive / 66, "skill": 1 - bits / naive}
    expected |= {"perplexity": 2 ** (bits / 66), "naive_perplexity": 2 ** (naive / 66), "count": 66}
    assert scores.metrics() == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(ahead=st.lists(st.integers(0, 3), min_size=40, max_size=40), stop=st.integers(0, 20))
def test_it_is_no_matter_how_many_are_on_their_way(ahead: list[int], stop: int) -> None:
    """A run takes batches before others are applied; another goes on behind those that were."""
    targets, losses = batches(1, 20)
    whole, scores = SymbolScores(V), SymbolScores(V)
    for index, (batch, loss) in enumerate(zip(targets, losses, strict=True)):
        whole.come(batch, begins=index % 12 == 0)
        whole.learned(loss)
    came = applied = 0
    position = scores.position()
    while applied < 20:
        if applied == stop:
            scores, again = SymbolScores(V), (position, scores.told())
            position, told = json.loads(json.dumps(again))
            scores.rewind(position)
            scores.recall(told)
            came = applied
        while came < min(20, applied + 1 + ahead[applied]):
            if came == stop and applied < stop:
                position = scores.position()
            scores.come(targets[came], begins=came % 12 == 0)
            came += 1
        scores.learned(losses[applied])
        applied += 1
        if applied == stop == came:
            position = scores.position()
    assert scores.metrics() == whole.metrics()
    assert scores.position() == whole.position()
    assert whole.metrics()["count"] == 72


def test_nothing_is_no_number() -> None:
    scores = SymbolScores(V)
    names = ("bits_per_symbol", "perplexity", "naive_bits_per_symbol", "naive_perplexity", "skill")
    assert scores.metrics() == dict.fromkeys(names) | {"count": 0}
    for loss in (math.inf, math.nan, 1e30):
        scores.come(np.zeros((2, 2), np.int32), begins=False)
        scores.learned(loss)
    found = scores.metrics()
    assert (found["count"], found["perplexity"]) == (4, None)
    json.dumps(found, allow_nan=False)
    one = SymbolScores(1)  # is always certain
    one.come(np.zeros((2, 2), np.int32), begins=True)
    one.learned(0.0)
    assert one.metrics()["skill"] is None


def test_what_does_not_fit_is_refused() -> None:
    scores = SymbolScores(V)
    with pytest.raises(ArgumentError, match="seen"):
        scores.rewind(SymbolScores(V + 1).position())
    with pytest.raises(ArgumentError, match="seen"):
        scores.rewind({"passes": 0, "seen": [0.5] * V})
    with pytest.raises(ArgumentError, match="nats"):
        scores.recall({"count": 1, "nats": "1", "naive": 2.0})
