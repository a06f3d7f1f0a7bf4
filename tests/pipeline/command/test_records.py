"""Training on records by the command: each option does what it says."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.in_process import Done, parsed, run_here

from recurrio.core.online.record_model import RecordModel

COUNT, KEYS = 240, 6
SMALL = ["--hidden", 8, "--seq-len", 4, "--json"]
PLAIN = ["--key", "k", "--features", "x", "--target", "x@+1"]


def make_rows() -> list[dict[str, Any]]:
    """Records of walks, of keys that come in turn."""
    rng = np.random.default_rng(0)
    level = np.zeros(KEYS)
    rows = []
    for index in range(COUNT):
        key = index % KEYS
        level[key] = 0.8 * level[key] + rng.standard_normal()
        row = {"k": 100 + key, "x": round(20 + level[key].item(), 3), "y": index % 5, "c": "abc"[index % 3]}
        rows.append({**row, "t": 1_700_000_000 + 10 * index})
    return rows


ROWS = make_rows()


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    return "".join(delimiter.join(map(str, row)) + "\n" for row in [[*rows[0]], *[row.values() for row in rows]])


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(as_csv(ROWS))
    Path("data.jsonl").write_text(as_jsonl(ROWS))
    return tmp_path


def train(*words: object, source: str = "data.csv", out: str = "out") -> Done:
    """Train, which has to go well."""
    done = run_here("train", source, *SMALL, "--out", out, *words)
    assert done.code == 0, done.errors
    return done


def weights(out: str = "out") -> bytes:
    model = RecordModel.load(Path(out) / "model.safetensors").model
    return model.parameters.tobytes()


def test_features_are_numbers_and_categories(folder: Path) -> None:
    train("--key", "k", "--features", "x,c:category", "--target", "x@+1")
    schema = RecordModel.load("out/model.safetensors").encoder.schema
    assert (schema.numbers, schema.categories) == (("x",), ("c",))
    shown = run_here("inspect", "out").output
    assert re.search(r'^features: +"x", "c:category"$', shown, re.MULTILINE)
    assert re.search(r'^c: +"a", "b", "c"$', shown, re.MULTILINE)


def test_several_targets_stand_by_their_names(folder: Path) -> None:
    report = train("--key", "k", "--features", "x", "--target", "x@+2,y", "--predictions", "p").report
    assert [*report["metrics"]["targets"]] == ["x@+2", "y"]
    lines = parsed(folder / "p")
    assert len(lines) == COUNT
    assert [*lines[0]["prediction"]] == ["x@+2", "y"]


def test_a_label_is_a_class(folder: Path) -> None:
    report = train("--features", "x", "--label", "c", "--predictions", "p").report
    assert report["applied"] == COUNT
    assert {line["prediction"] for line in parsed(folder / "p")} <= {"a", "b", "c"}
    assert {"accuracy", "naive_accuracy", "majority_accuracy", "last_accuracy"} < {*report["metrics"]["all"]}


def test_a_key_divides_the_records(folder: Path) -> None:
    with_key = train(*PLAIN, "--predictions", "p").report
    without = train(*PLAIN[2:], "--predictions", "q", out="other").report
    assert (with_key["keys"], with_key["unlabelled"], with_key["applied"]) == (KEYS, KEYS, COUNT - KEYS)
    assert (without["keys"], without["unlabelled"]) == (1, 1)
    assert [line["key"] for line in parsed(folder / "p")] == [str(row["k"]) for row in ROWS]
    assert not any("key" in line for line in parsed(folder / "q"))


@pytest.mark.parametrize("unit", ["", ":ms", ":us", ":ns"])
def test_time_in_units(unit: str, folder: Path) -> None:
    factor = {"": 1, ":ms": 10**3, ":us": 10**6, ":ns": 10**9}[unit]
    (folder / "timed.csv").write_text(as_csv([{**row, "t": row["t"] * factor} for row in ROWS]))
    train(*PLAIN, "--time", f"t{unit}", "--predictions", "p", source="timed.csv")
    assert [line["time"] for line in parsed(folder / "p")] == [row["t"] for row in ROWS]


def test_per_key_scales_each_by_itself(folder: Path) -> None:
    train(*PLAIN, "--per-key")
    train(*PLAIN, out="all")
    assert weights() != weights("all")
    assert "of each key" in run_here("inspect", "out").output
    assert "of all keys together" in run_here("inspect", "all").output
    assert len(parsed(run_here("predict", "out", "data.csv").output)) == COUNT


def test_max_gap_makes_the_pair_across_it_unlabelled(folder: Path) -> None:
    times = [*range(0, 600, 60), *range(30_000, 30_600, 60)]
    (folder / "gap.csv").write_text("t,x\n" + "".join(f"{t},{t % 7}\n" for t in times))
    words = ["--features", "x", "--target", "x@+1", "--time", "t"]
    assert train(*words, source="gap.csv").report["unlabelled"] == 1
    assert train(*words, "--max-gap", "1h", source="gap.csv", out="gap").report["unlabelled"] == 2


def test_max_keys_bounds_the_keys(folder: Path) -> None:
    report = train(*PLAIN, "--max-keys", 3).report
    assert report["keys"] <= 3
    assert report["evicted"] == COUNT - report["keys"]  # each comes back when it has gone


def test_classes_and_categories_beyond_the_tables_are_others(folder: Path) -> None:
    report = train("--features", "x", "--label", "y", "--max-classes", 3, "--predictions", "p").report
    assert report["unknown"] == COUNT * 3 // 5
    assert {line["prediction"] for line in parsed(folder / "p")} <= {"0", "1", "other"}
    words = ["--features", "c:category", "--target", "x", "--max-categories", 2]
    assert train(*words, out="other").report["unknown"] == COUNT // 3


RAW = np.array([(row["k"], row["x"], row["t"]) for row in ROWS], [("k", "<i8"), ("x", "<f8"), ("t", "<i8")])
COMMAS = "k;x;t\n" + "".join(f"{row['k']};{row['x']};{row['t']}\n" for row in ROWS).replace(".", ",")
WRITTEN: dict[str, tuple[str, bytes | str, list[object]]] = {
    "JSON lines": ("a.jsonl", as_jsonl(ROWS), []),
    "CSV by another name": ("a.txt", as_csv(ROWS), ["--format", "csv"]),
    "TSV": ("a.tsv", as_csv(ROWS, "\t"), []),
    "TSV by another name": ("a.log", as_csv(ROWS, "\t"), ["--format", "tsv"]),
    "raw blocks": ("a.bin", RAW.tobytes(), ["--dtype", "k:i8,x:f8,t:i8"]),
    "commas": ("a.csv", COMMAS, ["--delimiter", ";", "--decimal", ","]),
    "compressed": ("a.csv.gz", gzip.compress(as_csv(ROWS).encode()), []),
    "in a folder with a name": ("a b/ä (1).jsonl", as_jsonl(ROWS), []),
    "lines above": ("a.csv", "station 7\n\n" + as_csv(ROWS), ["--skip-lines", 2]),
    "no header": ("a.csv", as_csv(ROWS).partition("\n")[2], ["--columns", "k,x,y,c,t"]),
    "columns in another order": ("a.csv", as_csv([dict(reversed(row.items())) for row in ROWS]), []),
    "German times": (
        "a.csv",
        as_csv([{**row, "t": str(np.datetime64(row["t"], "s")).replace("T", " um ")} for row in ROWS]),
        ["--time-format", "%Y-%m-%d um %H:%M:%S"],
    ),
    "codes that stand for nothing": (
        "a.csv",
        as_csv([row for row in ROWS for row in (row, {**row, "x": "oops"})]),
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", WRITTEN)
def test_however_they_are_written_it_is_the_same(how: str, folder: Path) -> None:
    name, data, words = WRITTEN[how]
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    timed = [*PLAIN, "--time", "t"]
    train(*timed, "--predictions", "p")
    report = train(*timed, *words, "--predictions", "q", source=name, out="other").report
    assert weights() == weights("other")
    assert (folder / "p").read_bytes() == (folder / "q").read_bytes()
    assert report["rejected"] == (COUNT if how.startswith("codes") else 0)


def test_what_is_missing_is_said_to_be(folder: Path) -> None:
    rows = [{**row, "x": -9999 if index % 4 == 0 else row["x"]} for index, row in enumerate(ROWS)]
    (folder / "codes.csv").write_text(as_csv(rows))
    (folder / "empty.csv").write_text(as_csv(rows).replace("-9999", ""))
    report = train(*PLAIN, "--missing", "-9999,?", source="codes.csv").report
    assert report["missing"] == {"x": 0.25}
    train(*PLAIN, source="empty.csv", out="empty")
    assert weights() == weights("empty")


def test_predictions_go_to_a_file_or_to_standard_output(folder: Path) -> None:
    train(*PLAIN, "--predictions", "p")
    words = ["train", "data.csv", *PLAIN, *SMALL[:-1], "--out", "other", "--predictions", "-"]
    done = run_here(*words)
    assert done.output == (folder / "p").read_text()
    assert "done: " in done.errors
    lines = parsed(done.output)
    assert [line["record"] for line in lines] == [*range(COUNT)]
    assert all(isinstance(line["prediction"], float) and line["version"] >= 0 for line in lines)


def test_rejects_are_kept_and_named(folder: Path) -> None:
    (folder / "bad.csv").write_text(as_csv([*ROWS[:9], *[{**row, "x": "much"} for row in ROWS[:9]]]))
    report = train(*PLAIN, "--rejects", "r", source="bad.csv").report
    assert report["rejected"] == 9
    lines = parsed(folder / "r")
    assert [line["line"] for line in lines] == [*range(11, 20)]
    assert {line["reason"] for line in lines} == {
        'x: expected a number, got "much" (x:category takes it as a category)'
    }
    assert lines[0]["data"] == "100,much,0,a,1700000000"
    words = ["train", "bad.csv", *PLAIN, "--overwrite", "--out", "out"]
    assert run_here(*words).errors.count("rejected: bad.csv line") == 3
    assert run_here(*words, "-v").errors.count("rejected: bad.csv line") == 9
    quiet = run_here(*words, "-q")
    assert (quiet.output, quiet.errors.count("\n")) == ("", 3)


def test_reports_as_json_and_to_a_file(folder: Path) -> None:
    done = train(*PLAIN, "--report-every", 3, "--reports", "reports")
    lines = parsed(done.output)
    assert parsed(folder / "reports") == lines
    steps = [line["step"] for line in lines]
    assert [*dict.fromkeys([*range(3, steps[-1], 3), steps[-1]])] == [*dict.fromkeys(steps)]  # at the end once more
    assert {"step", "loss", "records", "applied", "metrics", "worst", "timing"} <= {*lines[-1]}
    every = parsed(train(*PLAIN, "--report-every", "1h", out="other").output)
    assert [line["step"] for line in every] == [1, steps[-1]]
    assert {**every[-1], "timing": 0} == {**lines[-1], "timing": 0}
    assert run_here("train", "data.csv", *PLAIN, "--out", "quiet", "-q").output == ""


@pytest.mark.parametrize("every", [1, 2, 1000, "1ms", "1h"])
def test_the_last_report_has_all_records_whenever_it_comes(every: object, folder: Path) -> None:
    assert train(*PLAIN, "--report-every", every).report["unlabelled"] == KEYS


def test_options_from_a_file(folder: Path) -> None:
    options = 'key = "k"\nfeatures = ["x", "c:category"]\ntarget = "x@+1"\nper_key = true\nquiet = false\nlr = 1e-3\n'
    (folder / "options.toml").write_text(options)
    train("--config", "options.toml")
    train("--key", "k", "--features", "x,c:category", "--target", "x@+1", "--per-key", "--lr", "0.001", out="words")
    assert weights() == weights("words")
    train("--config", "options.toml", "--lr", "0.01", out="other")  # what is said by words counts
    assert weights("other") != weights()


def test_a_folder_with_a_model_is_kept(folder: Path) -> None:
    train(*PLAIN)
    before = weights()
    assert run_here("train", "data.csv", *PLAIN, "--out", "out").code == 1
    assert weights() == before
    train(*PLAIN, "--seed", 5, "--overwrite")
    assert weights() != before
    assert train(*PLAIN, "--out", "named", out="ignored").code == 0
    assert (folder / "named" / "model.safetensors").exists()
