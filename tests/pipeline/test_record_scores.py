"""Scales, scores and labels of records as they come, and that something is learned from them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.in_process import Done, parsed, run_here
from support.live_records import inputs_of, run

from recurrio.pipeline import Report, fit
from recurrio.pipeline.decoding.options import RecordOptions

# Scales and scores

SENTINEL = [{"x": -200.0 if n % 100 == 37 else round(20 + 2 * math.sin(n * n), 3)} for n in range(8000)]


async def test_a_code_for_nothing_is_warned_of_and_blinds_nobody() -> None:
    done = await run(SENTINEL, key=None)
    (warning,) = done.warnings
    assert "x: -200 came 10 times in the last 1,000 records" in warning
    assert "--missing=-200" in warning
    good = np.array([row["x"] != -200 for row in SENTINEL[:-1]])
    z = inputs_of(SENTINEL)[:, 0]
    for start in range(0, 7000, 1000):
        part = slice(start, start + 1000)
        assert z[part][good[part]].std() > 0.3, start
    named = await run(SENTINEL, options=RecordOptions(missing=("-200",)), key=None)
    assert named.warnings == []
    assert named.report["missing"] == {"x": 0.01}
    assert named.report["unlabelled"] == 1 + 80
    assert named.report["rejected"] == 0


async def test_the_first_records_are_scaled_too() -> None:
    rng = np.random.default_rng(0)
    rows = [{"p": round(101_325 + 100 * rng.standard_normal(), 1), "f": int(rng.random() < 0.5)} for _ in range(257)]
    given = {"features": "p,f", "target": "p@+1"}
    assert np.abs(inputs_of(rows, **given)[:, :2]).max() <= 5
    done = await run(rows, key=None, **given)
    said = [float(line[3]) for line in done.predictions]
    error = np.abs(np.array(said[1:256]) - [row["p"] for row in rows[2:257]]).mean()
    naive = np.abs(np.diff([row["p"] for row in rows])[1:]).mean()
    assert error <= 3 * naive


async def test_a_stuck_sensor_has_no_skill() -> None:
    done = await run([{"k": "a", "x": 0.177}] * 5000)
    metrics = done.report["metrics"]["all"]
    assert metrics["naive_mae"] == 0
    assert metrics["mae"] < 0.01
    assert metrics["skill"] is None
    assert done.report["worst"] == []
    assert done.warnings == ["x: 0.177 in all of the last 5,000 records (a stuck sensor?)"]


async def test_a_change_of_unit_is_forgotten() -> None:
    rng = np.random.default_rng(0)
    count, keys = 60_000, 64
    z = np.zeros(keys)
    values = []
    for n in range(count + 20_000):
        z[n % keys] = 0.5 * z[n % keys] + rng.standard_normal()
        values.append(20 + 2 * z[n % keys] if n < count else 68 + 3.6 * z[n % keys])
    skill = []
    for stop in (count, len(values)):
        data = "".join([f'{{"k":{n % keys},"x":{value:.3f}}}\n' for n, value in enumerate(values[:stop])])
        skill.append((await run(data)).report["metrics"]["window"]["skill"])
    assert skill[0] > 0.05
    assert skill[1] > skill[0] - 0.1
    scaled = inputs_of([{"x": value} for value in values[count - 20_000 :]])[-9000:, 0]
    assert abs(scaled.mean()) < 1


async def test_large_numbers_keep_their_last_digits() -> None:
    done = await run([{"k": "a", "x": 1_700_000_001 + n % 2} for n in range(4000)])
    assert done.report["metrics"]["window"]["mae"] < 0.5
    said = np.array([float(line[3]) for line in done.predictions])
    assert np.count_nonzero(said % 128 == 0) < 40


async def test_directions_and_rare_flags_are_numbers() -> None:
    directions = [{"k": "a", "x": [359, 1, 358, 2][n % 4]} for n in range(400)]
    assert (await run(directions)).counts == (399, 1, 0, 1)
    door = [{"x": int(n == 9000)} for n in range(10_001)]
    z = inputs_of(door)[:, 0]
    assert z.max() == z[9000] <= 5


async def test_labels_are_texts_and_those_beyond_the_table_are_others() -> None:
    written = ["1", '"1"', "1.0", "true", '" 1"', "null"]
    lines = "".join(f'{{"k":"a","x":1,"y":{label}}}\n' for label in written)
    more = "".join(f'{{"k":"a","x":1,"y":"c{n}"}}\n' for n in range(70))
    done = await run(lines + more, label="y")
    assert done.counts == (75, 1, 0, 1)
    assert done.report["unknown"] == 4 + 70 - 63  # one of 64 outputs is for all others
    rows = "k,x,y\n" + "".join(f"a,1,{cell}\n" for cell in ["1", "1", "1.0", "true", " 1", ""])
    same = await run(rows + "".join(f"a,1,c{n}\n" for n in range(70)), "csv", label="y")
    assert same.predictions == done.predictions
    assert same.report == done.report


async def test_a_field_that_is_renamed_is_missed() -> None:
    names = ["temp"] * 5000 + ["temperature"] * 2000
    data = [{"k": "a", name: n % 7, "y": n % 5} for n, name in enumerate(names)]
    done = await run(data, features="temp,y", target="y@+1")
    (warning,) = done.warnings
    assert warning.startswith("temp: missing in 100% of the last 500 records, 0% before")
    assert '"temperature"' in warning or "temperature" in warning
    assert done.report["missing"] == {"temp": 2 / 7}
    assert done.counts == (6999, 1, 0, 1)


@pytest.mark.parametrize("count", [20, 5000])
async def test_a_field_that_is_never_there_is_named(count: int) -> None:
    rows = [{"k": "a", "temp": n % 7, "hum": n % 5, "note": None} for n in range(count)]
    done = await run(rows, features="temp,humid,note", target="temp@+1")
    (warning,) = done.warnings
    where = f"in none of the first {min(count, 1000):,} records"
    assert warning == f"humid: {where}; other fields there are: hum (is that its name?)"
    done = await run(rows, features="temp,humid.x", label="state.now")
    assert [text.partition(":")[0] for text in done.warnings] == ["humid.x", "state.now"]


@pytest.mark.parametrize("per_key", [False, True])
async def test_a_number_of_the_same_record_is_not_known_before(per_key: bool) -> None:
    rows = [{"k": n % 3, "x": n % 2, "y": 5.0 + n} for n in range(40)]
    done = await run(rows, features="x", target="y", per_key=per_key)
    said = {line[0]: float(line[3]) for line in done.predictions}
    assert all(math.isnan(said[n]) for n in range(3 if per_key else 1))
    assert all(said[n] != rows[n]["y"] for n in said)
    assert math.isfinite(said[39])


# It learns


def waves(count: int, keys: int, seed: int = 0) -> list[dict[str, Any]]:
    """Values that go back to their mean, each key's own, which come out of step; a class that is of the last two."""
    rng = np.random.default_rng(seed)
    level, before = np.zeros(keys), np.zeros(keys)
    rows = []
    for key in rng.integers(keys, size=count).tolist():
        before[key], level[key] = level[key], 0.6 * level[key] + rng.standard_normal()
        state = "up" if level[key] > before[key] + 0.5 else "down" if level[key] < before[key] - 0.5 else "same"
        rows.append({"k": f"k{key}", "x": round(3 * key + level[key].item(), 3), "state": state})
    return rows


ROWS = waves(12_000, 7)


def trained(folder: Path, *words: object) -> tuple[Done, list[dict[str, Any]]]:
    """A run over these rows, with no other options, and its predictions."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    files = ["--json", "--predictions", folder / "p", "--out", folder / "out"]
    done = run_here("train", folder / "rows.jsonl", "--key", "k", "--features", "x", *words, *files)
    assert done.code == 0, done.errors
    return done, parsed(folder / "p")


@pytest.mark.parametrize("ahead", [1, 3])
def test_numbers_are_forecast_better_than_by_the_last_one(ahead: int, tmp_path: Path) -> None:
    done, lines = trained(tmp_path, "--target", f"x@+{ahead}")
    metrics = done.report["metrics"]["all"]
    series: dict[str, list[tuple[float, float]]] = {}
    for row, line in zip(ROWS, lines, strict=True):
        assert line["key"] == row["k"]
        series.setdefault(row["k"], []).append((row["x"], line["prediction"]))
    errors, naive = [], []
    for values in series.values():
        for (x, said), (later, _) in zip(values, values[ahead:], strict=False):
            errors.append(abs(said - later))
            naive.append(abs(x - later))
    assert len(errors) == metrics["count"] == done.report["applied"]
    assert metrics["mae"] == pytest.approx(np.mean(errors))
    assert metrics["naive_mae"] == pytest.approx(np.mean(naive))
    assert metrics["skill"] == pytest.approx(1 - np.mean(errors) / np.mean(naive))
    assert metrics["skill"] > 0.05
    assert done.report["metrics"]["window"]["skill"] > 0.05
    assert {each["key"] for each in done.report["worst"]} < {*series}


def test_classes_are_told_better_than_by_the_last_one(tmp_path: Path) -> None:
    done, lines = trained(tmp_path, "--label", "state")
    metrics = done.report["metrics"]["all"]
    said = {line["record"]: line["prediction"] for line in lines}
    right = [said[n] == row["state"] for n, row in enumerate(ROWS) if n in said]
    assert metrics["count"] == len(right)
    assert metrics["accuracy"] == pytest.approx(np.mean(right), abs=0.001)
    assert metrics["accuracy"] > metrics["naive_accuracy"] + 0.1
    assert metrics["naive_accuracy"] == max(metrics["majority_accuracy"], metrics["last_accuracy"])


@pytest.mark.parametrize("per_key", [False, True])
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_unit_of_a_number_says_nothing_of_its_skill(unit: float, per_key: bool) -> None:
    rng, x = np.random.default_rng(0), np.zeros(5)
    records = []
    for index in range(1500):
        key = index % 5
        x[key] = 0.5 * x[key] + rng.standard_normal()
        records.append({"k": key, "x": float(unit * x[key])})
    found: list[Report] = []
    options = {"key": "k", "features": "x", "target": "x@+1", "per_key": per_key}
    fit(records, **options, executor="inline", report_every=1000.0, on_report=found.append)
    assert found[-1].records is not None
    assert 0.02 < found[-1].records["metrics"]["all"]["skill"] < 0.2


@pytest.mark.parametrize("per_key", [False, True])
async def test_keys_whose_numbers_differ_in_size_are_warned_of_once(per_key: bool) -> None:
    rng, x = np.random.default_rng(0), np.zeros(2)
    records = []
    for index in range(14_000):
        key = index % 2
        x[key] = 0.9 * x[key] + rng.standard_normal()
        records.append({"k": "ab"[key], "x": float([1e6, 1][key] * x[key])})
    whole, cut = await run(records, per_key=per_key), await run(records[:5000], per_key=per_key)
    if per_key:
        assert whole.warnings == cut.warnings == []
    else:
        for done in (whole, cut):
            (warning,) = done.warnings
            assert "forecasts of the key b are" in warning
            assert "--per-key" in warning
        assert (await run(records[:12_000])).warnings == whole.warnings  # by the number of records, not the clock
