"""`check-leaks`: it finds nothing in what is trained here, and each leak that is planted, where it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.in_process import Done, parsed, run_here

from recurrio.core.base.parameters import Array
from recurrio.core.online.categories import Categories
from recurrio.core.online.standardise import Standardiser
from recurrio.core.online.updates import BLOCK
from recurrio.pipeline.command.options import make_parser
from recurrio.pipeline.lanes.chunks import Packed
from recurrio.pipeline.lanes.labels import Labelled, Labeller
from recurrio.pipeline.lanes.labels_at_once import LabelsAtOnce

DAYS, MANY, LATE = 360, 280, 100
SMALL = ["--hidden", 4, "--executor", "inline"]
DAILY = ["daily.csv", "--features", "temperature", "--target", "temperature@+1", "--time", "day"]
LATER = ["--id", "n", "--features", "x,c:category", "--label", "state", "--key", "k", "--time", "t"]
BOUNDS = ["--interval", 0.8, "--alarm", 0.9]
KEYED = ["many.csv", "--key", "k", "--features", "x,c:category"]
SERIES: dict[str, list[object]] = {  # and of how many places
    "a day each": [*DAILY, "--replay", 2, "--stride", 4, *BOUNDS, "--seq-len", 8, "--places", 50],
    "keys": [*KEYED, "--target", "x@+1,x@+4", "--per-key", "--stride", 2, "--batch-size", 3, *BOUNDS, "--places", 50],
    "classes": [*KEYED, "--label", "state", "--seq-len", 4, "--max-classes", 3, "--shards", 2, "--places", 50],
    "seasons": [*DAILY, "--season", "30d", "--alarm", 0.9, "--interval", 0.5, "--places", 4],
    "as it is by default": [*DAILY, "--places", 8],
    "weights that are late": [*DAILY, "--target", "temperature@+3,other", "--delay", 1, "--places", 4],
    "few keys at once": [*KEYED, "--target", "x@+1", "--max-keys", 3, "--optimizer", "sgd", "--places", 4],
    "labels that come later": ["late.jsonl", *LATER, "--label-wait", "1h", "--places", 8],
    "labels from elsewhere": ["ids.jsonl", *LATER, "--label-from", "labels.jsonl", "--places", 8],
}


def as_csv(rows: list[dict[str, Any]]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in [[*rows[0]], *[row.values() for row in rows]])


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.standard_normal(DAYS))
    season = 12 + 8 * np.sin(np.arange(DAYS) / 58)
    day = np.datetime64("1981-01-01")
    rows = [
        {
            "day": day + np.timedelta64(n, "D"),
            "temperature": round(season[n] + rng.normal(), 1),
            "other": round(walk[n], 2),
        }
        for n in range(DAYS)
    ]
    rows[200]["temperature"] = "NA"
    Path("daily.csv").write_text(as_csv(rows))
    keys, states = rng.integers(0, 5, MANY), ["low", "high", "odd", "rare"]
    many = [
        {"k": f"k{key}", "x": round(rng.normal(key), 3), "c": "pqr"[n % 3], "state": states[rng.integers(4) % (n + 1)]}
        for n, key in enumerate(keys)
    ]
    Path("many.csv").write_text(as_csv(many))
    records = [{"n": n, "k": n % 3, "t": 60 * n, "c": "pqr"[n % 3], "x": round(rng.normal(), 3)} for n in range(LATE)]
    labels = [{"n": row["n"], "state": "high" if row["x"] > 0 else "low"} for row in records]
    mixed = [row for n in range(LATE + 9) for row in (*records[n : n + 1], *labels[max(0, n - 9) : max(0, n - 8)])]
    for name, lines in {"late": mixed, "ids": records, "labels": labels}.items():
        Path(f"{name}.jsonl").write_text(as_jsonl(lines))
    return tmp_path


def check(*words: object) -> Done:
    return run_here("check-leaks", *words, *SMALL)


def found(*words: object) -> dict[str, Any]:
    """What is said as JSON; the exit code says whether there are leaks."""
    done = check(*words, "--json")
    assert not done.errors
    said: dict[str, Any] = json.loads(done.output)
    assert done.code == bool(said["leaks"])
    return said


@pytest.mark.parametrize("name", SERIES)
def test_no_forecast_knows_what_comes(name: str) -> None:
    *words, places = SERIES[name]
    count = {"late.jsonl": LATE, "ids.jsonl": LATE, "daily.csv": DAYS, "many.csv": MANY}[str(words[0])]
    expected = f"{places} places of {count} records: no forecast up to them knew what came after\n"
    assert check(*words, places) == (0, expected, "")


def test_places_are_drawn_and_not_too_near_the_ends() -> None:
    said = found(*DAILY, "--places", 5)
    assert said["records"] == DAYS
    assert said["places"] == sorted({*said["places"]}) == found(*DAILY, "--places", 5)["places"]
    assert len(said["places"]) == 5
    assert all(DAYS // 4 <= place < DAYS - DAYS // 4 for place in said["places"])
    assert found(*DAILY, "--places", 5, "--seed", 1)["places"] != said["places"]


def test_of_a_run_that_ends_early_only_what_is_forecast_is_checked() -> None:
    said = found(*DAILY, "--places", 3, "--steps", 60)
    assert 60 < said["records"] < 80
    assert max(said["places"]) < said["records"]


def test_each_option_of_training_is_there() -> None:
    groups = {}
    for command, others in {"train": ("checkpoints", "output"), "check-leaks": ("check",)}.items():
        parser = make_parser()._subparsers._group_actions[0].choices[command]  # type: ignore[union-attr, index]
        groups[command] = {
            group.title: [action.option_strings for action in group._group_actions]
            for group in parser._action_groups
            if group.title not in others
        }
    assert groups["train"] == groups["check-leaks"]


def test_options_are_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("options.toml").write_text('replay = 3\nlr = 0.01\ncell = "rnn"\n')
    assert found(*DAILY, "--places", 1)["leaks"] == []
    done = run_here("train", *DAILY, *SMALL, "--out", "before", "-q")
    assert done.code == 0, done.errors
    assert found(*DAILY, "--places", 1, "--init", "before", "--config", "options.toml", "--cell", "lstm")["leaks"] == []
    assert "expected a model like this one" in check(*DAILY, "--init", "before", "--cell", "rnn").errors


def whole_block(self: Standardiser, values: Array) -> tuple[Array, Array]:
    """The scales of all records that have been read at once."""
    shape = values.shape
    return np.broadcast_to(np.nanmean(values, 0), shape), np.broadcast_to(np.nanstd(values, 0), shape)


def own_block(self: Standardiser, values: Array) -> tuple[Array, Array]:
    """Those of the 256 records that a record is among."""
    mean, deviation = np.empty_like(values), np.empty_like(values)
    for start in range(0, len(values), BLOCK):
        part = slice(start, start + BLOCK)
        mean[part], deviation[part] = np.nanmean(values[part], 0), np.nanstd(values[part], 0)
    return mean, deviation


@pytest.mark.parametrize("scale", [whole_block, own_block])
def test_scales_of_what_comes_are_found(scale: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 (a method)
    monkeypatch.setattr(Standardiser, "scale", scale)
    said = found(*DAILY, "--places", 12)
    first = [0 if scale is whole_block else place // BLOCK * BLOCK for place in said["places"]]
    assert [leak["place"] for leak in said["leaks"]] == said["places"]
    assert [leak["record"] for leak in said["leaks"]] == first
    for leak in said["leaks"]:
        before, after = leak["before"], leak["after"]
        assert before.pop("prediction") != after.pop("prediction")
        assert before == after
        assert before["record"] == leak["record"]


def centred(monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    """Let each forecast be around the value so many records ahead."""
    label = Labeller.label

    def leaking(self: Labeller, block: Any, rows: Array, order: Any, steps: Any) -> Labelled:  # noqa: ANN401
        labelled = label(self, block, rows, order, steps)
        centre, values = labelled.centre.copy(), np.nan_to_num(block.numbers[:, self._encoder.places])
        centre[: len(values) - ahead] = values[ahead:]
        return labelled._replace(centre=centre)

    monkeypatch.setattr(Labeller, "label", leaking)


@pytest.mark.parametrize(
    ("target", "ahead"), [("temperature@+1", 1), ("temperature@+7", 7), ("other", 0)], ids=["next", "seventh", "own"]
)
def test_a_label_that_is_used_at_once_is_found(target: str, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    centred(monkeypatch, ahead)
    words = [*DAILY, "--target", target, "--places", 6]
    said = found(*words)
    assert [leak["place"] for leak in said["leaks"]] == said["places"]
    assert [leak["record"] for leak in said["leaks"]] == [place - max(0, ahead - 1) for place in said["places"]]
    assert run_here("train", *words[:-2], *SMALL, "-q", "--predictions", "predictions").code == 0
    lines_of = {line["record"]: line for line in parsed(Path("predictions"))}
    assert [leak["before"] for leak in said["leaks"]] == [lines_of[leak["record"]] for leak in said["leaks"]]
    done = check(*words)
    *lines, summary = done.output.splitlines()
    assert summary == f"6 of 6 places of {DAYS} records: a forecast up to them knew what came after"
    for line, leak in zip(lines, said["leaks"], strict=True):
        values = f"{leak['before']['prediction']}, then {leak['after']['prediction']}"
        where = f"all after record {leak['place']} changed, and so did the forecast of {leak['record']}"
        assert line == f"{where}: prediction: {values}"


def test_weights_that_learned_before_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch goes first, and then come the forecasts of records that are in it."""
    take = LabelsAtOnce.take

    def leaking(self: LabelsAtOnce, *given: Any) -> Iterator[Any]:  # noqa: ANN401
        items = [*take(self, *given)]
        for at in range(1, len(items)):
            if isinstance(items[at], Packed):
                items[at - 1 : at + 1] = items[at], items[at - 1]
        yield from items

    monkeypatch.setattr(LabelsAtOnce, "take", leaking)
    said = found(*KEYED, "--target", "x@+1", "--stride", 8, "--places", 12)
    assert len(said["leaks"]) > 6  # the last record before a batch knows nothing more
    assert all(leak["place"] - 64 < leak["record"] <= leak["place"] for leak in said["leaks"])


def test_a_table_of_all_that_comes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Categories.encode

    def leaking(self: Categories, texts: list[str | None], **options: bool) -> Array:
        encode(self, sorted({text for text in texts if text is not None}))
        return encode(self, texts, **options)

    monkeypatch.setattr(Categories, "encode", leaking)
    said = found(*KEYED, "--target", "x@+1", "--places", 6)
    assert [leak["place"] for leak in said["leaks"]] == said["places"]
    assert {leak["record"] for leak in said["leaks"]} == {8}  # before the first batch, inputs have no say


PLAIN = ["--features", "x", "--target", "x@+1"]
ERRORS: dict[str, tuple[list[object], int, str]] = {
    "a pipe": (["-", *PLAIN], 2, "-: expected a file, which ends and can be read again"),
    "a named pipe": (["fifo", *PLAIN], 2, "fifo: expected a file"),
    "a folder": (["folder", *PLAIN], 2, "folder: expected a file"),
    "a log that grows": (["tail:many.csv", *PLAIN], 2, "tail:many.csv: expected a file"),
    "labels from a pipe": (["ids.jsonl", "--features", "x", "--label", "s", "--label-from", "-"], 2, "-: expected a"),
    "a text": (["many.csv"], 2, "check-leaks: expected records: --features"),
    "too few": (["few.csv", *PLAIN], 2, "records: expected 32 at least, to look for leaks among them, got 31"),
    "no places": (["many.csv", *PLAIN, "--places", 0], 2, "--places: expected a whole number of at least 1"),
    "an output": (["many.csv", *PLAIN, "--out", "run"], 2, "unrecognized arguments: --out run"),
    "nonsense": (["many.csv", *PLAIN, "--stride", 99], 2, "stride: expected a whole number from 1 to 8"),
    "no such file": (["none.csv", *PLAIN], 1, "none.csv: No such file or directory"),
    "no such field": (["many.csv", "--features", "z", "--target", "z@+1"], 1, "z"),
    "no records": (["header.csv", *PLAIN], 1, "header.csv: there are no records"),
    "none that fits": (["words.csv", *PLAIN], 1, "words.csv: none of the first 40 records fits"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_a_line(name: str) -> None:
    os.mkfifo("fifo")
    Path("folder").mkdir()
    Path("few.csv").write_text("x\n" + "1\n" * 31)
    Path("header.csv").write_text("x\n")
    Path("words.csv").write_text("x\n" + "much\n" * 40)
    words, code, expected = ERRORS[name]
    done = check(*words)
    assert (done.code, done.output) == (code, "")
    assert expected in done.errors
    assert done.errors.count("\n") == 1
