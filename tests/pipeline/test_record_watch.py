"""The watch over records: what it says, once, in any division into blocks; and that it says nothing of sound data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core.base.parameters import Array
from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.lanes.watch import RecordWatch

ONE = Schema.of("x", "x@+1")
MIXED = Schema.of("x,c:category,z", label="y", key="id", time="when")
NAN = math.nan
Texts = Sequence[Sequence[str | None]]


def parts(values: Array, texts: Texts = (), cuts: Iterable[int] = ()) -> list[Block]:
    """`values` ``(n, F)`` and the columns of `texts`, of which the last are labels, in blocks with ends at `cuts`."""
    ends = [0, *sorted(cuts), len(values)]
    found = []
    for start, end in pairwise(ends):
        columns = [list(column[start:end]) for column in texts]
        labels = columns.pop() if columns else None
        found.append(Block(end - start, values[start:end], columns, labels, None, None, []))
    return found


def look(watch: RecordWatch, block: Block, seen: Sequence[str]) -> None:
    watch.meet(seen, block.size)
    watch.look(block)


def said(values: Array, schema: Schema = ONE, texts: Texts = (), cuts: Iterable[int] = ()) -> list[str]:
    """What is said of them."""
    lines: list[str] = []
    watch = RecordWatch(Fields.of(schema), lines.append)
    for block in parts(values, texts, cuts):
        look(watch, block, ["x"])
    return lines


def noise(n: int, seed: int = 0) -> Array:
    """``(n, 1)``, 20 ± 0.5 with two decimals."""
    return np.random.default_rng(seed).normal(20, 0.5, (n, 1)).clip(18, 22).round(2)


def renamed(at: int, n: int) -> Array:
    values = noise(n)
    values[at:] = NAN
    return values


@pytest.mark.parametrize(("at", "share"), [(5000, 100), (5100, 80), (5249, 50)])
def test_a_field_that_is_renamed(at: int, share: int) -> None:
    lines: list[str] = []
    watch = RecordWatch(Fields.of(Schema.of("temp", "temp@+1", key="id")), lines.append)
    seen = ["id", "temp", "note"]
    for number, block in enumerate(parts(renamed(at, at + 1000), cuts=[1000, 3000, at])):
        if number == 1:
            seen.append("late")
        if number == 3:
            assert not lines
            seen.append("temperature")
        look(watch, block, seen)
    jump = f"temp: missing in {share}% of the last 500 records, 0% before"
    assert lines == [f"{jump}; fields that were not there before: temperature (was it renamed?)"]


def test_a_field_that_is_gone_without_another_name() -> None:
    lines: list[str] = []
    watch = RecordWatch(Fields.of(ONE), lines.append)
    for block in parts(renamed(2000, 9000), cuts=[2000, 4000]):
        look(watch, block, ["x"])
    look(watch, parts(noise(3000))[0], ["x"])
    look(watch, parts(renamed(0, 3000))[0], ["x"])
    assert lines == ["x: missing in 100% of the last 500 records, 0% before"]


def test_a_rename_within_the_first_block() -> None:
    lines: list[str] = []
    names = ["x", "a\nb", *"cdefg"]
    look(RecordWatch(Fields.of(ONE), lines.append), parts(renamed(2000, 4000))[0], names)
    shares = "missing in 100% of the last 500 records, 0% before"
    assert lines == [f"x: {shares}; other fields there are: a\\nb, c, d, e, f, … (was it renamed?)"]


def test_names_that_always_change_are_not_remembered_for_ever() -> None:
    watch = RecordWatch(Fields.of(ONE), pytest.fail)
    for number in range(2000):
        look(watch, parts(noise(1))[0], [f"{number}-{place}" for place in range(50)])
    assert len(watch._came) == 1000


def test_texts_and_labels_that_are_missing() -> None:
    n = 3000
    values = np.random.default_rng(0).normal(size=(n, 2))
    texts = [["red"] * 2500 + [None] * 500, [None, "yes"] * 500 + [None] * (n - 1000)]
    lines: list[str] = []
    watch = RecordWatch(Fields.of(MIXED), lines.append)
    assert watch.missing == {"x": 0, "z": 0, "c": 0, "y": 0}
    values[:600, 1] = NAN
    for block in parts(values, texts, [600, 1100]):
        look(watch, block, [])
        if watch.records == 600:
            assert watch.missing == {"x": 0, "z": 1, "c": 0, "y": 0.5}
    assert watch.missing == {"x": 0, "z": 0.2, "c": 500 / n, "y": 2500 / n}
    assert lines == [
        "y: missing in 100% of the last 500 records, 50% before",
        "c: missing in 100% of the last 500 records, 0% before",
    ]


@pytest.mark.parametrize("value", [-200.0, -9999.0, 65535.0, 0.5, 1e300, -1e308])
def test_a_value_that_stands_for_none(value: float) -> None:
    values, text = noise(20_000), repr(value).removesuffix(".0")
    where = np.random.default_rng(1).random(len(values)) < 0.01
    values[where] = value
    count = np.count_nonzero(values[:1000] == value)
    low, high = (f"{end(values[:1000][~where[:1000]]):.4g}" for end in (np.min, np.max))
    assert said(values) == [
        f"x: {text} came {count} times in the last 1,000 records, far from all others ({low} to {high}); "
        f"--missing={text} says that it stands for no value"
    ]


def test_several_values_that_stand_for_none() -> None:
    values = noise(8000)
    for place, value in enumerate([-200, 9999, -99_999, 1e7]):
        values[place::101] = value
    values[500] = 1e30
    lines = said(values)
    assert [line[:20] for line in lines] == ["x: -200 came 10 time", "x: 9999 came 10 time", "x: -99999 came 10 ti"]
    low, high = np.sort(values[:1000][np.abs(values[:1000] - 20) < 3])[[0, -1]]
    assert all(f"far from all others ({low:.4g} to {high:.4g}); --missing=" in line for line in lines)


def test_a_burst_of_it_among_missing_ones() -> None:
    values = noise(3000)
    values[::3] = NAN
    values[400:440] = -1
    assert [line[:19] for line in said(values)] == ["x: -1 came 40 times"]


@pytest.mark.parametrize(("before", "value"), [(2000, 0.177), (500, 0), (4500, 22.0)])
def test_a_stuck_sensor(before: int, value: float) -> None:
    values = noise(before + 8000)
    values[before:] = value
    assert not said(values[: before + 4999])
    line = [f"x: {repr(value).removesuffix('.0')} in all of the last 5,000 records (a stuck sensor?)"]
    assert said(values[: before + 5000]) == said(values) == line
    assert said(np.concatenate((values, noise(2000), values))) == line


def test_a_constant() -> None:
    values = np.full((20_000, 1), 0.177)
    assert not said(values[:4999])
    line = ["x: 0.177 in all of the last 5,000 records (a stuck sensor?)"]
    assert said(values[:5000]) == said(values) == line
    values[::3] = NAN
    assert said(values) == ["x: 0.177 in all of the last 5,000 records that have one (a stuck sensor?)"]


def test_keys_with_a_single_record() -> None:
    lines: list[str] = []
    watch = RecordWatch(Fields.of(MIXED), lines.append)
    watch.keys(999, 999)
    watch.keys(1000, 900)
    assert not lines
    watch.keys(1000, 979)
    watch.keys(2000, 2000)
    assert lines == ["1,000 keys so far, 97% of them with a single record: is --key id right?"]
    RecordWatch(Fields.of(ONE), pytest.fail).keys(2000, 2000)


Sound = Callable[[np.random.Generator, int], Array]
SOUND: dict[str, Sound] = {
    "normal": lambda rng, n: rng.normal(20, 2, n),
    "rounded": lambda rng, n: rng.normal(20, 2, n).round(),
    "a rare flag": lambda rng, n: (rng.random(n) < 1e-4) * 1.0,
    "a flag": lambda rng, n: (rng.random(n) < 0.01) * 1.0,
    "mostly set": lambda rng, n: (rng.random(n) > 1e-4) * 1.0,
    "often set": lambda rng, n: (rng.random(n) < 0.2) * 1.0,
    "lognormal": lambda rng, n: rng.lognormal(0, 2, n),
    "lognormal, rounded": lambda rng, n: rng.lognormal(0, 2, n).round(),
    "prices": lambda rng, n: rng.lognormal(3, 1, n).round(2),
    "Student's t": lambda rng, n: rng.standard_t(2, n).round(1),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n).round(),
    "Pareto": lambda rng, n: (rng.pareto(1, n) + 1).round(),
    "wind": lambda rng, n: rng.normal(0, 30, n).round() % 360,
    "all winds": lambda rng, n: rng.integers(0, 360, n) * 1.0,
    "integers": lambda rng, n: rng.integers(0, 4, n) * 1.0,
    "events": lambda rng, n: rng.poisson(0.3, n) * 1.0,
    "rain": lambda rng, n: np.where(rng.random(n) < 0.8, 0, rng.exponential(1, n).round(1)),
    "no rain": lambda rng, n: np.where(np.arange(n) // 2000 % 10 == 3, rng.exponential(1, n).round(1), 0),
    "a counter": lambda rng, n: np.arange(n) * 1.0,
    "a counter of rare events": lambda rng, n: np.cumsum(rng.random(n) < 0.01) * 1.0,
    "a counter that begins again": lambda rng, n: np.arange(n) // 5 % 1999 * 1.0,
    "a change of unit": lambda rng, n: np.where(np.arange(n) < 3990, 20, 68) + rng.integers(0, 2, n),
    "another constant": lambda rng, n: np.where(np.arange(n) < 3990, rng.normal(20, 1, n), np.arange(n) // 4000 * 68),
    "missing": lambda rng, n: np.where(rng.random(n) < 0.3, NAN, rng.normal(20, 2, n)),
    "nearly all missing": lambda rng, n: np.where(rng.random(n) < 0.95, NAN, rng.normal(20, 2, n)),
    "all missing": lambda rng, n: np.full(n, NAN),
    "spikes": lambda rng, n: rng.normal(20, 2, n) + np.where(rng.random(n) < 1e-3, rng.normal(0, 500, n), 0),
    "huge": lambda rng, n: rng.uniform(-9, 9, n) * 10.0 ** rng.integers(300, 307, n),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_said_of_sound_data(name: str) -> None:
    for seed in range(5):
        values = SOUND[name](np.random.default_rng(seed), 20_000)
        if name == "another constant":
            values = values[:8000]
        assert said(values[:, None]) == []


N = 9000


def trouble() -> tuple[Array, Texts]:
    """Records with a bit of everything."""
    rng = np.random.default_rng(3)
    values = rng.normal(20, 2, (N, 2)).round(1)
    values[rng.random(N) < 0.02, 0] = -200
    values[2250:, 0][rng.random(N - 2250) < 0.7] = NAN
    values[2777:8222, 1] = 21.5
    values[8222:, 1][::9] = 9999
    return values, [["red", None] * 800 + [None] * (N - 1600), ["yes"] * 4100 + [None] * (N - 4100)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, N), max_size=30) | st.integers(1, 70).map(lambda step: [*range(0, N, step)]))
def test_what_is_said_does_not_depend_on_the_division_into_blocks(cuts: list[int]) -> None:
    values, texts = trouble()
    lines = said(values, MIXED, texts, cuts)
    assert lines == said(values, MIXED, texts)
    assert [line.split()[0] + line.split()[1] for line in lines] == [
        "x:-200", "c:missing", "x:missing", "y:missing", "z:21.5", "z:9999",
    ]  # fmt: skip
