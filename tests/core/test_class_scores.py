"""The scores of classes: against a plain loop and river's, however the labels are divided, and None where meaningless.

And the probabilities that they are told of.
"""

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
from recurrio.core.online.class_metrics import CLASS_METRICS
from recurrio.core.online.class_metrics.log_loss import log_losses
from recurrio.core.online.probabilities import log_probabilities
from recurrio.core.online.scores import ClassScores, NumberScores

NAN, INF = math.nan, math.inf
KEYS, CLASSES = 7, 5
NAMES = [metric.name for metric in CLASS_METRICS]
SCOPES = ("all", "window", "faded")
Labels = tuple[Array, Array, Array, Array, Array]


def classes(seed: int, n: int) -> Labels:
    """Rows, predicted classes, last classes, truths, some missing, and logarithms; the most frequent one changes."""
    rng = np.random.default_rng(seed)
    truths = np.where(np.arange(n) < n // 3, rng.integers(0, CLASSES, n), rng.integers(0, 2, n))
    predicted = np.where(rng.random(n) < 0.6, truths, rng.integers(0, CLASSES, n))
    last = np.where(rng.random(n) < 0.5, truths, -1)
    predicted[rng.random(n) < 0.1] = -1
    truths[rng.random(n) < 0.1] = -1
    share = rng.dirichlet(np.ones(CLASSES), n)
    share[rng.random(n) < 0.02] = [1, 0, 0, 0, 0]
    with np.errstate(divide="ignore"):
        logs = np.log(np.concatenate((share, np.zeros((n, 1))), axis=1))
    return np.minimum(rng.zipf(1.5, n) - 1, KEYS - 1), predicted, last, truths, logs


def counted(labels: Labels) -> list[tuple[int, int, int, int, list[float]]]:
    """Those that count."""
    lines = zip(*[array.tolist() for array in labels], strict=True)
    return [line for line in lines if line[1] >= 0 and line[3] >= 0]


def frequencies(truths: list[int]) -> list[tuple[int, float]]:
    """The majority before each, and the frequency of its class."""
    found, seen, majority = list[tuple[int, float]](), [0] * CLASSES, -1
    for truth in truths:
        found.append((majority, (seen[truth] + 1) / (sum(seen) + sum(count > 0 for count in seen) + 1)))
        seen[truth] += 1
        if majority < 0 or seen[truth] > seen[majority]:
            majority = truth
    return found


def of_way(pairs: list[tuple[int, int, int, float]], fade: float) -> dict[str, float]:
    """The metrics of a way, of pairs of what it said, the truth, the last class, and the probability of the truth."""
    weights = [fade ** (len(pairs) - 1 - n) for n in range(len(pairs))]
    cells, n, at, before, loss = dict[tuple[int, int], float](), sum(weights), 0.0, 0.0, 0.0
    for weight, (said, truth, last, share) in zip(weights, pairs, strict=True):
        cells[said, truth] = cells.get((said, truth), 0) + weight
        at, before = at + weight * (said == truth), before + weight * (last == truth)
        loss -= weight * math.log(min(max(share, 1e-15), 1 - 1e-15))
    row = [sum(w for (said, _), w in cells.items() if said == c) for c in range(CLASSES)]
    column = [sum(w for (_, truth), w in cells.items() if truth == c) for c in range(CLASSES)]
    chance = sum(r / n * c / n for r, c in zip(row, column, strict=True))
    f1 = [2 * cells.get((c, c), 0) / (row[c] + column[c]) for c in range(CLASSES) if row[c] + column[c]]
    found = {"accuracy": at / n, "log_loss": loss / n, "kappa": (at / n - chance) / (1 - chance)}
    return found | {"kappa_temporal": (at - before) / (n - before), "macro_f1": sum(f1) / len(f1), "count": n}


def check(seed: int) -> None:
    """The scores of some labels are those of the plain loop."""
    labels = classes(seed, 2500)
    scores = ClassScores(CLASSES, KEYS, window=100)
    scores.add(*labels)
    lines = counted(labels)
    naive = frequencies([line[3] for line in lines])
    ways: dict[str, list[tuple[int, int, int, float]]] = {"": [], "majority": [], "last": []}
    keys: list[list[tuple[bool, ...]]] = [[] for _ in range(KEYS)]
    for (row, said, last, truth, logs), (most, frequency) in zip(lines, naive, strict=True):
        ways[""].append((said, truth, last, math.exp(logs[truth])))
        ways["majority"].append((most, truth, last, frequency))
        ways["last"].append((last, truth, last, 0))
        keys[row].append((said == truth, most == truth, last == truth))
    for scope in SCOPES:
        found = scores.metrics()[scope]
        fade, part = 0.999 if scope == "faded" else 1, slice(-100 if scope == "window" else 0, None)
        own, majority, last_one = (of_way(pairs[part], fade) for pairs in ways.values())
        assert {name: found[name] for name in own} == pytest.approx(own, rel=1e-12)
        assert found["naive"]["majority"] == pytest.approx(
            {name: majority[name] for name in NAMES}, rel=1e-9, abs=1e-12
        )
        expected: dict[str, Any] = {name: last_one[name] for name in NAMES} | {"log_loss": None}
        assert found["naive"]["last"] == pytest.approx(expected)
        for name in ("majority", "last"):
            assert found[f"{name}_accuracy"] == found["naive"][name]["accuracy"]
        for name in set(NAMES) - {"log_loss"}:
            assert found[f"naive_{name}"] == max(found["naive"][way][name] for way in ("majority", "last"))
        assert found["naive_log_loss"] == found["naive"]["majority"]["log_loss"]
        assert found["skill"] == 1 - found["log_loss"] / found["naive_log_loss"]
    means = [(*np.mean(of, axis=0).tolist(), len(of)) for of in keys]
    ranked = sorted((mean[0], row) for row, mean in enumerate(means) if mean[3] >= 20)
    worst = scores.worst(4)
    assert [(one.accuracy, one.row) for one in worst] == ranked[:4]
    assert [one.naive_accuracy for one in worst] == [max(means[one.row][1:3]) for one in worst]


@pytest.mark.parametrize("seed", range(8))
def test_against_a_plain_loop(seed: int) -> None:
    check(seed)


def test_a_naive_way_that_knows_the_label_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    so_far = ClassScores._so_far

    def behind(scores: ClassScores, truths: Array) -> tuple[Array, Array]:
        majority, shares = so_far(scores, truths)
        return np.append(majority[1:], majority[-1]), shares

    monkeypatch.setattr(ClassScores, "_so_far", behind)
    with pytest.raises(AssertionError):
        check(0)


@pytest.mark.parametrize("seed", range(5))
def test_rivers_say_the_same(seed: int) -> None:
    river = pytest.importorskip("river.metrics", reason="needs river")
    labels = classes(seed, 3000)
    scores = ClassScores(CLASSES, KEYS)
    scores.add(*labels)
    lines, found = counted(labels), scores.metrics()
    majorities = [most for most, _ in frequencies([line[3] for line in lines])]
    for scope, part in (("all", slice(1, None)), ("window", slice(-1000, None))):
        others = {"accuracy": river.Accuracy, "kappa": river.CohenKappa, "macro_f1": river.MacroF1}
        ways = {way: {name: other() for name, other in others.items()} for way in ("", "majority", "last")}
        loss, last_one = river.CrossEntropy(), river.Accuracy()
        kept = lines[part] if scope == "window" else lines
        for (_, said, last, truth, logs), most in zip(kept, majorities[-len(kept) :], strict=True):
            for way, name in (("", said), ("majority", most)):
                for metric in ways[way].values():
                    if name >= 0:
                        metric.update(truth, name)
            loss.update(truth, dict(enumerate(np.exp(logs[:CLASSES]).tolist())))
            last_one.update(truth, last)
        own = {name: metric.get() for name, metric in ways[""].items()} | {"log_loss": loss.get()}
        own["kappa_temporal"] = (own["accuracy"] - last_one.get()) / (1 - last_one.get())
        assert {name: found[scope][name] for name in NAMES} == pytest.approx(own, rel=1e-12, abs=1e-12)
        if scope == "window":  # over all, there is none before the first label
            naive = {name: metric.get() for name, metric in ways["majority"].items()}
            assert {name: found[scope]["naive"]["majority"][name] for name in naive} == pytest.approx(naive, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 99), cuts=divisions(1400), window=st.sampled_from([1, 7, 64, 1000]))
def test_calls_are_divided_anyhow(seed: int, cuts: list[slice], window: int) -> None:
    labels = classes(seed, 1400)
    whole, parts = ClassScores(CLASSES, KEYS, window=window), ClassScores(CLASSES, KEYS, window=window)
    whole.add(*labels)
    for cut in cuts:
        parts.add(*[array[cut] for array in labels])
        again = ClassScores(CLASSES, KEYS, window=window)
        again.load(parts.dump())
        parts = again
    same(parts.dump(), whole.dump())
    assert parts.metrics() == whole.metrics()
    assert parts.worst() == whole.worst()


def test_the_order_of_adding_would_be_noticed() -> None:
    labels = classes(0, 400)
    one, other = ClassScores(CLASSES, KEYS), ClassScores(CLASSES, KEYS)
    one.add(*labels)
    other.add(*[array[::-1] for array in labels])
    assert one.metrics()["all"]["kappa"] == pytest.approx(other.metrics()["all"]["kappa"])
    with pytest.raises(AssertionError):
        same(one.dump(), other.dump())


def test_nothing_is_no_number() -> None:
    scores, nothing = ClassScores(3, 1), dict.fromkeys(NAMES)
    names = [*NAMES, *(f"naive_{name}" for name in NAMES), "majority_accuracy", "last_accuracy", "skill"]
    for scope in SCOPES:
        expected = dict.fromkeys(names) | {"count": 0, "naive": {"majority": nothing, "last": nothing}}
        assert scores.metrics()[scope] == expected
    zeros = np.zeros(4000, np.int64)  # one class, always right
    scores.add(zeros, zeros, zeros, zeros, np.zeros((4000, 4)))
    for scope in SCOPES:
        found = scores.metrics()[scope]
        assert (found["accuracy"], found["last_accuracy"], found["macro_f1"]) == pytest.approx((1, 1, 1))
        assert (found["kappa"], found["kappa_temporal"], found["naive_kappa_temporal"]) == (None, None, None)
        assert found["log_loss"] == pytest.approx(1e-15)
    scores.add(zeros[:9], zeros[:9], zeros[:9], zeros[:9], np.full((9, 4), NAN))
    json.dumps(scores.metrics(), allow_nan=False)
    assert scores.metrics()["all"]["log_loss"] == pytest.approx(9 * 34.5388 / 4009, rel=1e-4)


def test_classes_that_have_gone_fade() -> None:
    scores, zeros = ClassScores(3, 1), np.zeros(200_000, np.int64)
    ones = zeros[:1] + 1
    scores.add(zeros[:1], ones, ones, ones, np.zeros((1, 1)))
    scores.add(zeros, zeros, zeros, zeros, np.zeros((len(zeros), 1)))
    found = scores.metrics()
    assert found["all"]["kappa"] == pytest.approx(1)
    assert found["faded"]["kappa"] is None  # of what is left of the other class there are no digits
    json.dumps(found, allow_nan=False)


def test_a_class_that_was_not_known_has_no_probability() -> None:
    scores, row = ClassScores(3, 1), np.zeros(3, np.int64)
    logs = np.log([[0.5, 0.5, 1e-300]] * 3)
    scores.add(row, row, row, np.array([0, 2, 1]), logs[:, :2] + [0, -INF])  # two columns: the second is of the others
    assert scores.metrics()["all"]["log_loss"] == pytest.approx((math.log(2) + 2 * 34.53877639491068) / 3)
    assert scores.metrics()["all"]["naive_log_loss"] == pytest.approx(-math.log(1 * (1 / 3) * (1 / 5)) / 3)


def test_a_key_that_is_forgotten_stays_in_the_whole() -> None:
    scores = ClassScores(2, 3)
    rows, ones = np.repeat([0, 1, 2], [20, 25, 19]), np.ones((64, 1))  # 19 are too few to be among the worst
    scores.add(rows, ones, ones, ones, np.zeros((64, 2)))
    assert [one.row for one in scores.worst()] == [0, 1]
    scores.forget(np.array([0]))
    assert [one.row for one in scores.worst()] == [1]
    assert scores.metrics()["all"]["count"] == 64


def test_classes_may_be_floats_with_gaps() -> None:
    whole, floats = ClassScores(CLASSES, KEYS), ClassScores(CLASSES, KEYS)
    rows, *labels, logs = classes(3, 300)
    whole.add(rows, *labels, logs)
    floats.add(rows, *[np.where(array < 0, NAN, array)[:, None] for array in labels], logs)
    same(floats.dump(), whole.dump())


def test_no_majority_before_the_first_label() -> None:
    scores = ClassScores(3, 1)
    truths = np.array([0, 1, 1, 1, 0])
    scores.add(np.zeros(5, np.int64), truths, np.full(5, -1), truths, np.zeros((5, 3)))
    assert scores.metrics()["all"]["majority_accuracy"] == 1 / 5  # −1, 0, 0, 1, 1: at two each the first one stays
    assert scores.metrics()["all"]["last_accuracy"] == 0


def test_what_does_not_fit_is_refused() -> None:
    one = ClassScores(CLASSES, KEYS)
    one.add(*classes(0, 50))
    before = one.dump()
    for wrong in (NumberScores(["x"], KEYS), ClassScores(CLASSES + 1, KEYS), ClassScores(CLASSES, KEYS, window=5)):
        with pytest.raises(ArgumentError):
            one.load(wrong.dump())
    for name in ("tallies.total", "tallies.faded", "tallies.window", "losses.total"):
        with pytest.raises(ArgumentError):
            one.load(before._replace(arrays=before.arrays | {name: before.arrays[name] - INF}))
    same(one.dump(), before)
    with pytest.raises(ArgumentError, match="rows: expected rows from 0 to 1, got 0 to"):
        ClassScores(CLASSES, 2).load(before)
    row, number, logs = np.zeros(1, np.int64), np.zeros(1), np.zeros((1, 3))
    for name in ("predicted", "last", "truths"):
        given_ = {"predicted": number, "last": number, "truths": number} | {name: number + CLASSES}
        with pytest.raises(ArgumentError, match=f"{name}: expected classes below 5, got 5"):
            one.add(row, **given_, logarithms=logs)
    with pytest.raises(ArgumentError, match="logarithms: expected a float64 array"):
        one.add(row, number, number, number, logs[0])
    same(one.dump(), before)


# Probabilities


def outputs_of(seed: int, n: int, width: int) -> Array:
    """Outputs of a model, some of which are far from all others, or no numbers."""
    rng = np.random.default_rng(seed)
    found = (rng.standard_normal((n, width)) * 10 ** rng.uniform(-2, 3, (n, 1))).astype(np.float32)
    found[rng.random(found.shape) < 0.002] = rng.choice([NAN, INF, -INF, 3e38])
    return found


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), cuts=divisions(90), width=st.sampled_from([1, 2, 5, 9, 64]))
def test_probabilities_are_those_of_each_record_alone(seed: int, cuts: list[slice], width: int) -> None:
    outputs = outputs_of(seed, 90, width)
    known = np.sort(np.random.default_rng(seed).integers(0, width + 1, 90))
    whole = log_probabilities(outputs, known, width + 1)
    for cut in cuts:
        most = int(known[cut].max(initial=0)) + 1
        part = log_probabilities(outputs[cut], known[cut], most)
        assert part.tobytes() == np.ascontiguousarray(whole[cut, :most]).tobytes()
        assert (whole[cut, most - 1 :] == -INF).all()


def test_probabilities_are_a_softmax_of_what_is_known() -> None:
    outputs = outputs_of(1, 500, 6).astype(np.float64)
    known = np.arange(500) % 7
    found = log_probabilities(outputs.astype(np.float32), known, 7)
    for line, count, logs in zip(outputs.astype(np.float32).tolist(), known.tolist(), found.tolist(), strict=True):
        assert logs[count:] == [-INF] * (7 - count)
        some = line[:count]
        if some and math.isfinite(sum(some)):
            total = math.fsum(math.exp(one - max(some)) for one in some)
            assert logs[:count] == pytest.approx([one - max(some) - math.log(total) for one in some], abs=1e-12)
    assert log_losses(np.array([-INF, NAN, 0.0, -1.0])).tolist() == pytest.approx([34.538776, 34.538776, 1e-15, 1])
