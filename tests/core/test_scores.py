"""The scores of numbers: against a plain loop, however labels are divided, and None where a score means nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scales import divisions, same

from recurrio.core import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.online.scores import ClassScores, NumberScores

NAN = math.nan
KEYS = 7
NAMES = ("mae", "rmse", "mape", "r2")
NOTHING = dict.fromkeys([*NAMES, *(f"naive_{name}" for name in NAMES), "skill"]) | {"count": 0}
SCOPES = ("all", "window", "faded")


def numbers(seed: int, n: int, targets: int = 1) -> tuple[Array, Array, Array, Array]:
    """Rows, forecasts, naive forecasts and truths, skewed, some missing."""
    rng = np.random.default_rng(seed)
    truths = np.exp(3 * rng.standard_normal((n, targets)))
    forecasts, naive = truths + rng.standard_normal((2, n, targets)) * [[[0.5]], [[1.0]]]
    for array in (forecasts, naive, truths):
        array[rng.random(array.shape) < 0.1] = NAN
    return np.minimum(rng.zipf(1.5, n) - 1, KEYS - 1), forecasts, naive, truths


Pair = tuple[float, float, float]  # forecast, naive forecast, truth


def one_by_one(pairs: list[Pair], way: int, first: float, fade: float) -> dict[str, float | None]:
    """The metrics of one of the forecasts, added up in order."""
    n = error = square = share = far = squares = 0.0
    for pair in pairs:
        e, y, d = pair[way] - pair[2], pair[2], pair[2] - first
        n, error, square = fade * n + 1, fade * error + abs(e), fade * square + e * e
        share = fade * share + (abs(e) / abs(y) if y else 0)
        far, squares = fade * far + d, fade * squares + d * d
    spread = squares - far * far / n
    found: dict[str, float | None] = {"mae": error / n, "rmse": math.sqrt(square / n), "mape": 100 * (share / n)}
    return found | {"r2": 1 - square / spread if spread > 0 else None}


def metrics_of(pairs: list[Pair], first: float = 0.0, fade: float = 1.0) -> dict[str, Any]:
    """Those of the forecasts, and of naive ones."""
    found: dict[str, Any] = one_by_one(pairs, 0, first, fade)
    found |= {f"naive_{name}": value for name, value in one_by_one(pairs, 1, first, fade).items()}
    count = len(pairs) if fade == 1 else (1 - fade ** len(pairs)) / (1 - fade)
    return found | {"skill": 1 - found["mae"] / found["naive_mae"], "count": count}


def test_numbers_against_a_plain_loop() -> None:
    for seed in range(5):
        rows, *given_ = numbers(seed, 2500)
        scores = NumberScores(["x"], KEYS, window=100)
        scores.add(rows, *given_)
        pairs, keys = list[Pair](), [list[Pair]() for _ in range(KEYS)]
        for row, *pair in zip(rows.tolist(), *[array[:, 0].tolist() for array in given_], strict=True):
            if not math.isnan(sum(pair)):
                pairs.append((pair[0], pair[1], pair[2]))
                keys[row].append(pairs[-1])
        first, found = pairs[0][2], scores.metrics()
        assert found["all"] == metrics_of(pairs, first)
        assert found["window"] == pytest.approx(metrics_of(pairs[-100:], first))
        assert found["faded"] == pytest.approx(metrics_of(pairs, first, 0.999))
        expected = sorted((metrics_of(of)["skill"], row) for row, of in enumerate(keys) if len(of) >= 20)
        worst = scores.worst(3)
        assert [(one.skill, one.row) for one in worst] == expected[:3]
        for one in worst:
            of = metrics_of(keys[one.row])
            assert (one.mae, one.naive_mae, one.labels) == (of["mae"], of["naive_mae"], of["count"])


@pytest.mark.parametrize("seed", range(5))
def test_rivers_say_the_same(seed: int) -> None:
    river = pytest.importorskip("river.metrics", reason="needs river")
    rng = np.random.default_rng(seed)
    truths = 50 + 10 * rng.standard_normal(3000)
    truths[rng.random(3000) < 0.01] = 0.0
    forecasts = truths + rng.standard_normal(3000)
    others = {"mae": river.MAE(), "rmse": river.RMSE(), "mape": river.MAPE(), "r2": river.R2()}
    scores = NumberScores(["x"], 1)
    scores.add(np.zeros(3000, np.int64), forecasts, forecasts, truths)
    for truth, forecast in zip(truths.tolist(), forecasts.tolist(), strict=True):
        for other in others.values():
            other.update(truth, forecast)
    found = scores.metrics()["all"]
    assert {name: found[name] for name in others} == pytest.approx(
        {name: other.get() for name, other in others.items()}, rel=1e-12
    )


def test_the_best_of_several_naive_ways_counts() -> None:
    truths, zeros = np.arange(1.0, 31.0), np.zeros(30, np.int64)
    naive = np.stack((truths + 2, truths - 1, truths + 4), axis=1)[:, None]
    scores = NumberScores(["x"], 1, naive=["last", "season", "drift"])
    scores.add(zeros, truths + 0.5, naive, truths)
    found = scores.metrics()["all"]
    assert {way: of["mae"] for way, of in found["naive"].items()} == {"last": 2, "season": 1, "drift": 4}
    assert (found["naive_mae"], found["naive_rmse"], found["skill"]) == (1, 1, 0.5)
    assert found["naive_r2"] == found["naive"]["season"]["r2"] > found["naive"]["last"]["r2"]
    assert [(one.naive_mae, one.mae) for one in scores.worst()] == [(2, 0.5)]
    naive[3, 0, 2] = NAN  # what has no drift does not count
    scores.add(zeros, truths, naive, truths)
    assert scores.metrics()["all"]["count"] == 59


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), cuts=divisions(400), window=st.sampled_from([1, 7, 64, 1000]))
@pytest.mark.parametrize("names", [["x"], ["x", "all"]])
def test_calls_are_divided_anyhow(names: list[str], seed: int, cuts: list[slice], window: int) -> None:
    def new() -> NumberScores:
        return NumberScores(names, KEYS, window=window)

    labels = numbers(seed, 400, len(names))
    whole, parts = new(), new()
    whole.add(*labels)
    for cut in cuts:
        parts.add(*[array[cut] for array in labels])
        again = new()
        again.load(parts.dump())
        parts = again
    same(parts.dump(), whole.dump())
    assert parts.metrics() == whole.metrics()
    assert parts.worst() == whole.worst()


def test_the_order_of_adding_would_be_noticed() -> None:
    labels = numbers(0, 400)
    one, other = NumberScores(["x"], KEYS), NumberScores(["x"], KEYS)
    one.add(*labels)
    other.add(*[array[::-1] for array in labels])
    assert one.metrics()["all"] == pytest.approx(other.metrics()["all"])
    with pytest.raises(AssertionError):
        same(one.dump(), other.dump())


def test_several_targets_have_a_mean_skill() -> None:
    scores = NumberScores(["x", "all", "still"], 1, window=2)
    forecasts = np.array([[1.0, 0, 5], [1, 1, 5], [NAN, 4, 5]])
    scores.add(np.zeros(3, np.int64), forecasts, forecasts * 0 + [4, 2, 5], np.array([[0.0, 0, 5]] * 3))
    found = scores.metrics()
    assert [found["targets"][name]["all"]["skill"] for name in ("x", "all", "still")] == [0.75, 1 - 5 / 6, None]
    assert found["all"] == {"skill": (0.75 + 1 - 5 / 6) / 2, "count": 8}
    assert found["window"] == {"skill": (0.75 + 1 - 5 / 4) / 2, "count": 6}
    assert scores.worst(target=2) == []


def test_a_naive_error_of_0_has_no_skill() -> None:
    scores, right = NumberScores(["x"], 1), np.full(30, 0.177)
    assert scores.metrics() == dict.fromkeys(SCOPES, NOTHING)
    scores.add(np.zeros(30, np.int64), right, right, right)
    expected = {name: None if name[-2:] == "r2" else 0 for name in NOTHING} | {"skill": None, "count": 30}
    found = scores.metrics()
    assert found["all"] == found["window"] == expected
    assert found["faded"] == expected | {"count": pytest.approx(29.5, abs=0.1)}
    assert scores.worst() == []


@pytest.mark.parametrize("huge", [math.inf, -math.inf, 1.7e308, 1e200])
@pytest.mark.parametrize("naive", [0.0, 5e-324, 1e-300, 1.0, -1.7e308])
def test_nothing_is_infinite(huge: float, naive: float) -> None:
    scores = NumberScores(["x"], 1)
    scores.add(np.zeros(30, np.int64), np.full(30, huge), np.full(30, naive), np.zeros(30))
    json.dumps([scores.metrics(), scores.worst()], allow_nan=False)
    assert scores.metrics()["all"]["count"] == 30


def test_a_key_that_is_forgotten_stays_in_the_whole() -> None:
    scores = NumberScores(["x"], 3)
    rows, ones = np.repeat([0, 1, 2], [20, 25, 19]), np.ones((64, 1))  # 19 are too few to be among the worst
    scores.add(rows, ones, ones * 3, ones * 2)
    assert [one.row for one in scores.worst()] == [0, 1]
    scores.forget(np.array([0]))
    assert [one.row for one in scores.worst()] == [1]
    assert scores.metrics()["all"]["count"] == 64


def test_what_does_not_fit_is_refused() -> None:
    one, classes = NumberScores(["x"], KEYS), ClassScores(5, KEYS)
    one.add(*numbers(0, 50))
    before = one.dump()
    wrong = [classes, NumberScores(["y"], KEYS), NumberScores(["x"], KEYS, window=5), NumberScores(["x", "y"], KEYS)]
    for kind in wrong:
        with pytest.raises(ArgumentError):
            one.load(kind.dump())
    same(one.dump(), before)
    with pytest.raises(ArgumentError, match="rows: expected rows from 0 to 1, got 0 to"):
        NumberScores(["x"], 2).load(before)
    row, number = np.zeros(1, np.int64), np.zeros(1)
    with pytest.raises(ArgumentError, match="rows: expected rows from 0 to 6, got -1 to -1"):
        one.add(row - 1, number, number, number)
    with pytest.raises(ArgumentError, match="naive: expected a float64 array"):
        one.add(row, number, number.astype(np.float32), number)
    with pytest.raises(ArgumentError, match="targets"):
        NumberScores([], 1)
