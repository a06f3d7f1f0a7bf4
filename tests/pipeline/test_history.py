"""The curves of a training: few points, of the same batches however they came, that are kept and drawn."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.streams import make_data

from recurrio.core import Adam, ArgumentError, SequenceBatch, SequenceModel, StepLR
from recurrio.core.base.state import Part
from recurrio.pipeline import History, Records, Trainer, fit

Batches = Callable[..., list[SequenceBatch]]
LOSSES = st.lists(st.floats(-1e3, 1e3) | st.just(math.nan) | st.just(math.inf), max_size=200)


def filled(losses: list[float], limit: int = 8) -> History:
    history = History(limit)
    for number, loss in enumerate(losses, 1):
        history.add(number / 4, number, 10, loss, 0.1 * number)
    return history


def same(one: History, other: History) -> bool:
    mine, theirs = one.dump(), other.dump()
    return mine.about == theirs.about and mine.arrays["points"].tobytes() == theirs.arrays["points"].tobytes()


@given(LOSSES, st.sampled_from([2, 8, 32]))
def test_a_point_is_of_as_many_batches_as_the_others_and_there_are_few(losses: list[float], limit: int) -> None:
    history = filled(losses, limit)
    stride = 1
    while len(losses) > limit * stride:
        stride *= 2
    groups = [losses[start : start + stride] for start in range(0, len(losses), stride)]
    assert (history.stride, len(history)) == (stride, len(groups))
    means = [np.mean(finite) if (finite := [x for x in group if math.isfinite(x)]) else math.nan for group in groups]
    np.testing.assert_allclose(history.loss, means, rtol=1e-9, atol=1e-9)
    ends = np.minimum(np.arange(1, len(groups) + 1) * stride, len(losses))
    assert history.batch.tolist() == ends.tolist()
    assert history.time.tolist() == (ends / 4).tolist()
    assert history.tokens.tolist() == (ends * 10).tolist()
    assert history.lr.tolist() == (0.1 * ends).tolist()
    assert np.isnan([history.record, history.metric, history.naive]).all()


@given(LOSSES, LOSSES)
def test_what_is_dumped_and_loaded_goes_on_as_if_it_had_not_been(first: list[float], then: list[float]) -> None:
    whole = filled(first)
    loaded = History(8)
    loaded.load(whole.dump())
    assert same(loaded, whole)
    for history in (whole, loaded):
        for number, loss in enumerate(then):
            history.add(history.seconds + 1, len(first) + number, 3, loss, 0.5)
    assert same(loaded, whole)


def test_an_endless_run_takes_no_more_memory() -> None:
    history = History()
    size = history._points.nbytes
    for number in range(100_000):
        history.add(number, number, 1, 1.0, 0.1)
    assert (len(history), history.stride, history._points.nbytes) == (782, 128, size)
    assert size < 100_000


@pytest.mark.parametrize(
    "about", [{"stride": 0}, {"held": 1}, {"held": -1}, {"measure": "<b>"}, {"measure": []}, {"stride": "1"}]
)
def test_what_does_not_fit_changes_nothing(about: dict[str, object]) -> None:
    history, good = filled([1.0, 2.0]), filled([3.0, 4.0, 5.0]).dump()
    before = history.dump()
    wrong = [Part(good.arrays, good.about | about), Part({}, good.about), Part(good.arrays, {})]
    for part in [*wrong, filled([1.0] * 10, limit=16).dump(), Part({"points": np.zeros((2, 3))}, good.about)]:
        with pytest.raises(ArgumentError):
            history.load(part)
        assert history.dump().about == before.about
        assert history.dump().arrays["points"].tobytes() == before.arrays["points"].tobytes()


@pytest.mark.parametrize("limit", [0, 1, 3, 2.5])
def test_a_limit_is_an_even_number(limit: int) -> None:
    with pytest.raises(ArgumentError):
        History(limit)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"mae": 2.0, "naive_mae": 3.0, "skill": 0.3}, ("mae", 2.0, 3.0)),
        ({"mae": None, "naive_mae": None, "skill": None}, ("mae", math.nan, math.nan)),
        ({"accuracy": 0.5, "naive_accuracy": 0.25}, ("accuracy", 0.5, 0.25)),
        ({"skill": 0.2, "count": 9}, ("skill", 0.2, 0.0)),
        ({"skill": None, "count": 9}, ("skill", math.nan, 0.0)),
        ({}, (None, math.nan, math.nan)),
    ],
)
def test_what_a_report_says_is_that_of_the_last_batch_and_of_the_next(
    window: dict[str, float | None], expected: tuple[str | None, float, float]
) -> None:
    history = filled([1.0, 2.0])
    history.say(None)
    assert math.isnan(history.record[-1])
    history.say({"records": 70, "metrics": {"window": window}})
    history.add(3.0, 3, 1, 1.0, 0.1)
    np.testing.assert_equal(history.record, [math.nan, 70, 70])
    assert history.measure == expected[0]
    for column, value in zip((history.metric, history.naive), expected[1:], strict=True):
        np.testing.assert_equal(column, [math.nan, value, value])


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
async def test_a_trainer_has_that_of_all_its_runs(executor: str, make_batches: Batches) -> None:
    batches, losses = make_batches(12, 5, 4, 6), list[float]()
    model = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    trainer = Trainer(model, Adam(0.01), schedule=StepLR(0.01, 5, 0.5), executor=executor)
    await trainer.run(batches[:7])
    assert len(trainer.history) == 7
    between = trainer.history.seconds
    await trainer.run(batches[7:], on_report=lambda report: losses.append(report.loss))
    history = trainer.history
    assert history.batch.tolist() == list(range(1, 13))
    assert history.tokens.tolist() == [20 * number for number in range(1, 13)]
    assert history.lr.tolist() == [0.01] * 5 + [0.005] * 5 + [0.0025] * 2
    assert history.loss[7:].tolist() == losses
    assert (np.diff(history.time) >= 0).all()
    assert history.time[6] == between > 0
    trainer.reset()
    assert (len(trainer.history), len(history)) == (0, 12)


async def test_it_is_the_same_by_any_executor(make_batches: Batches) -> None:
    found = []
    for executor in ("inline", "thread", "process"):
        trainer = Trainer(SequenceModel(6, embedding_size=3, hidden_size=4, seed=1), Adam(0.01), executor=executor)
        await trainer.run(make_batches(12, 5, 4, 6))
        found.append(trainer.history.loss.tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("asked", [{}, {"on_report": lambda report: None, "report_every": 3}])
def test_fit_of_records_gives_the_scores_at_the_end_too(asked: dict[str, object]) -> None:
    records = Records(make_data(900, 9), features="x,y", target="x@+1", key="k")
    history = fit(records, seed=1, executor="inline", **asked).history
    report = records.report()
    assert (history.record[-1], history.measure) == (900, "mae")
    window = report["metrics"]["window"]
    assert (history.metric[-1], history.naive[-1]) == (window["mae"], window["naive_mae"])


def test_fit_of_a_text_has_no_scores(text_file: Path) -> None:
    history = fit(text_file, steps=5, batch_size=4, seq_len=8, executor="inline").history
    assert (len(history), history.measure) == (5, None)
    assert repr(history) == f"History of 5 batches in 5 points, the last loss {history.loss[-1]:.4g}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what matplotlib is made of
def test_a_plot_has_the_columns() -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="needs matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    history = filled([3.0, 2.0, 1.0])
    (axes,) = history.plot().axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 3], [2, 2], [3, 1]])
    history.say({"records": 70, "metrics": {"window": {"mae": 2.0, "naive_mae": 3.0}}})
    loss, scores = history.plot().axes
    assert (loss.get_ylabel(), scores.get_ylabel()) == ("loss", "MAE of the last 1,000")
    assert [line.get_xydata()[-1].tolist() for line in scores.lines] == [[70, 2], [70, 3]]
    assert not pyplot.get_fignums()
    History().plot()  # of nothing


def test_without_matplotlib_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from recurrio.pipeline import History; History().plot()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "ImportError: a plot needs matplotlib: pip install matplotlib"


async def test_an_interrupted_run_has_the_batches_that_were_applied(make_batches: Batches) -> None:
    trainer = Trainer(SequenceModel(6, embedding_size=3, hidden_size=4, seed=1), Adam(0.01), executor="inline")

    def on_report(report: object) -> None:
        if trainer.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await trainer.run(make_batches(9, 5, 4, 6), on_report=on_report)
    assert trainer.history.batch.tolist() == [1, 2, 3, 4]
    await trainer.run(make_batches(9, 5, 4, 6))
    assert trainer.history.batch.tolist() == list(range(1, 14))


@given(LOSSES, st.integers(0, 250))
def test_what_is_cut_is_as_if_it_had_not_come(losses: list[float], batches: int) -> None:
    history = filled(losses, 1000)
    history.cut(batches)
    assert same(history, filled(losses[:batches], 1000))


def test_thinned_curves_are_cut_to_whole_points() -> None:
    history = filled([1.0] * 100)
    history.cut(50)
    assert history.batch[-1] <= 50
    history.add(99.0, 51, 10, 2.0, 0.1)
    assert history.batch.tolist() == sorted(history.batch.tolist())
    assert history.batch[-1] == 51


def test_what_has_happened_is_kept_up_to_where_it_is_cut() -> None:
    history = History(8)
    history.note("before the first")
    for number in range(1, 201):
        history.add(number / 4, number, 10, 0.5, 0.1)
        history.note(f"after {number}")
    assert len(history.events) == 100
    loaded = History(8)
    loaded.load(Part(history.dump().arrays, json.loads(json.dumps(history.dump().about))))
    assert loaded.events == history.events
    loaded.cut(120)
    assert loaded.events[-1] == (30.0, 120, "after 120")
    damaged = history.dump()
    damaged.about["events"] = [["soon", 1, "text"]]
    with pytest.raises(ArgumentError, match="events"):
        loaded.load(damaged)
    assert len(loaded.events) == 20
