"""Training on records by the command: what goes wrong is one line that helps, and an exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.in_process import Done, parsed, run_here

PLAIN = ["--key", "k", "--features", "x", "--target", "x@+1"]
CSV = "k,x,y\n" + "".join(f"a,{n % 7},{n % 3}\n" for n in range(100))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(CSV)
    Path("empty.csv").write_text("")
    Path("header.csv").write_text("k,x\n")
    Path("twice.csv").write_text("k,x,x\na,1,2\n")
    Path("sep.csv").write_text("sep=;\nk;x\na;1\na;2\n")
    Path("semicolons.csv").write_text("k;x\na;1\na;2\n")
    Path("bare.csv").write_text("a,1\na,2\n")
    Path("returns.csv").write_bytes(b"k,x\ra,1\ra,2\r")
    Path("words.csv").write_text("k,x\n" + "a,much\n" * 1500)
    Path("long.bin").write_bytes(b"\1" * 33)
    return tmp_path


def only_line(done: Done, code: int) -> str:
    """The error of the run, which has to be one line."""
    assert done.code == code, done
    lines = [line for line in done.errors.splitlines() if not line.startswith(("recurrio: warning: ", "lstm "))]
    assert len(lines) == 1, done.errors
    assert "Traceback" not in done.errors
    return lines[0]


WRONG_USAGE = {
    "now and later": (["--features", "x", "--target", "y,y@+1"], "target: expected either y of the same record, or of"),
    "neither": (["--features", "x"], "target: expected either a target or a label, got neither"),
    "both": (["--features", "x", "--target", "x@+1", "--label", "y"], "got both"),
    "no features": (["--target", "x@+1"], "--features: expected the fields that a model reads"),
    "a key alone": (["--key", "k"], "--features: expected the fields"),
    "the answer among the inputs": (["--features", "x,y", "--target", "y"], "(or y@+1, its next value), got y"),
    "the class among the inputs": (["--features", "x", "--label", "x"], "label: expected a field that is not"),
    "a feature twice": (["--features", "x,x", "--label", "y"], "features: expected each field once, got x"),
    "a feature of no name": (["--features", "x,,y", "--label", "y"], "features: expected names of fields"),
    "a category to forecast": (["--features", "x:category", "--target", "x@+1"], "target: expected a number"),
    "now": (["--features", "x", "--target", "x@+0"], "target: expected a whole number from 1"),
    "too far": (["--features", "x", "--target", "x@+1000000"], "target: expected a whole number from 1 to 100000"),
    "a gap in no time": ([*PLAIN, "--max-gap", "1h"], "max_gap: expected the time of records beside it"),
    "no keys": ([*PLAIN, "--max-keys", 0], "--max-keys: expected a whole number of at least 1, got '0'"),
    "fewer keys than shards": ([*PLAIN, "--max-keys", 2, "--shards", 3], "max_keys: expected at least 3"),
    "one class": (["--features", "x", "--label", "y", "--max-classes", 1], "--max-classes: expected a whole number"),
    "no time": ([*PLAIN, "--linger", "0s"], "--linger: expected a time above 0, as 50ms, 10s"),
    "no unit of time": ([*PLAIN, "--key-ttl", "5y"], "--key-ttl: expected a time above 0"),
    "a report never": ([*PLAIN, "--report-every", 0], "--report-every: expected a whole number of at least 1"),
    "no format": ([*PLAIN, "--format", "xml"], "--format: invalid choice: 'xml'"),
    "a text after all": ([*PLAIN, "--format", "text"], "--format text: is for a text"),
    "a long delimiter": ([*PLAIN, "--delimiter", "::"], "delimiter: expected one character"),
    "a delimiter before decimals": ([*PLAIN, "--decimal", ","], "(--delimiter ';')"),
    "other decimals": ([*PLAIN, "--decimal", "x"], "decimal: expected one of . and ,"),
    "a time without a form": ([*PLAIN, "--time", "t", "--time-format", "%Q"], "time_format: expected a format"),
    "columns without a field": ([*PLAIN, "--columns", "a,b"], "columns: expected those that are declared"),
    "raw without fields": ([*PLAIN, "--format", "raw"], "dtype: expected"),
    "raw of other fields": ([*PLAIN, "--format", "raw", "--dtype", "x:f4"], "dtype: expected a field k"),
    "both on one stream": ([*PLAIN, "--json", "--predictions", "-"], "--reports FILE is for both"),
    "overwrite nothing": ([*PLAIN, "--overwrite"], "--overwrite: expected --out DIR beside it"),
    "a vocabulary": ([*PLAIN, "--vocabulary", "bytes"], "--vocabulary: is for a text"),
    "an encoding": ([*PLAIN, "--encoding", "latin-1"], "--encoding: is for a text"),
    "an embedding": ([*PLAIN, "--embedding", 8], "--embedding: is for a text"),
    "several times": ([*PLAIN, "--epochs", 2], "--epochs: is for a text"),
    "no such options": ([*PLAIN, "--config", "none.toml"], "--config none.toml: No such file or directory"),
}


@pytest.mark.parametrize("what", WRONG_USAGE)
def test_wrong_usage(what: str) -> None:
    words, message = WRONG_USAGE[what]
    assert message in only_line(run_here("train", "data.csv", *words), 2)
    assert not Path("run").exists()


FOR_RECORDS = [
    *("--time t", "--per-key", "--max-gap 1s", "--max-keys 5", "--key-ttl 1s", "--linger 1s", "--max-classes 5"),
    *("--max-categories 5", "--format csv", "--missing 5", "--time-format %d", "--delimiter ;", "--decimal ,"),
    *("--skip-lines 1", "--columns a,b", "--dtype x:f4", "--predictions p", "--predictions -", "--rejects r"),
]


@pytest.mark.parametrize("option", FOR_RECORDS)
def test_what_is_for_records_is_nothing_for_a_text(option: str) -> None:
    line = only_line(run_here("train", "data.csv", *option.split()), 2)
    assert line.startswith(f"recurrio: {option.split()[0]}: is for records")
    assert not Path("run").exists()


NO_RECORDS = {
    "wrong columns": ("data.csv", ["--features", "z", "--label", "y"], "data.csv: no column z; the columns are: k, x"),
    "wrong targets": ("data.csv", ["--features", "x", "--target", "z"], "no column z; the columns are: k, x, y"),
    "a column twice": ("twice.csv", PLAIN, "twice.csv: column x appears twice"),
    "a line for spreadsheets": ("sep.csv", PLAIN, "--skip-lines 1 --delimiter ';'"),
    "semicolons": ("semicolons.csv", PLAIN, "--delimiter ';' splits them"),
    "no header": ("bare.csv", PLAIN, "where no line names the columns, --columns a,b,c does"),
    "other ends of lines": ("returns.csv", PLAIN, "lines end with a carriage return alone: tr"),
    "nothing that fits": ("words.csv", PLAIN, 'line 1501: x: expected a number, got "much"'),
    "not even a header": ("empty.csv", PLAIN, "empty.csv: there are no records"),
    "a header alone": ("header.csv", PLAIN, "header.csv: there are no records"),
    "a folder": (".", PLAIN, ".: Is a directory"),
    "nothing there": ("none.csv", PLAIN, "none.csv: No such file or directory"),
    "a source of no name": ("", PLAIN, "'': No such file or directory"),
    "another format": ("data.csv", [*PLAIN, "--format", "jsonl"], "none of the first 101 records fits; line 101: no"),
    "half of a record": ("long.bin", [*PLAIN, "--dtype", "k:i8,x:f8,y:f8,z:i8,a:i8"], "33 bytes at the end, where"),
}  # fmt: skip


@pytest.mark.parametrize("what", NO_RECORDS)
def test_where_there_are_no_records_the_way_out_is_named(what: str) -> None:
    source, words, message = NO_RECORDS[what]
    assert message in only_line(run_here("train", source, *words), 1)
    assert not Path("run").exists()


def test_the_fields_that_were_seen_are_named() -> None:
    Path("other.jsonl").write_text('{"op": "beat", "at": 5}\n' * 1200)
    line = only_line(run_here("train", "other.jsonl", *PLAIN), 1)
    assert "none of the first 1,200 records fits" in line
    assert 'the fields that were seen: "op", "at"' in line


def test_lines_above_the_header_are_skipped_and_no_rejects() -> None:
    words = ["--skip-lines", 1, "--delimiter", ";", "--json", "--out", "out"]
    report = run_here("train", "sep.csv", *PLAIN, *words).report
    assert (report["applied"], report["unlabelled"], report["rejected"]) == (1, 1, 0)


CONFIGS = {
    "features =\n": "options.toml: ",
    "[records]\nkey = 'k'\n": "records: expected a value, got a table",
    "colour = 'red'\n": "unrecognized arguments: --colour=red",
    "lr = 'fast'\n": "argument --lr: expected a finite number above 0, got 'fast'",
    "key = 'k'\nkey = 'j'\n": "options.toml: ",
}


@pytest.mark.parametrize("content", CONFIGS)
def test_errors_in_a_file_of_options(content: str) -> None:
    Path("options.toml").write_text(content)
    assert CONFIGS[content] in only_line(run_here("train", "data.csv", *PLAIN, "--config", "options.toml"), 2)


def test_what_is_read_is_never_written_over() -> None:
    os.link("data.csv", "linked.csv")
    os.symlink("data.csv", "link.csv")
    for option in ("--rejects", "--predictions", "--reports"):
        for name in ("data.csv", "linked.csv", "link.csv", "./data.csv"):
            line = only_line(run_here("train", "data.csv", *PLAIN, option, name), 2)
            assert line == f"recurrio: {option} {name}: is SOURCE already"
    line = only_line(run_here("train", "data.csv", *PLAIN, "--rejects", "a", "--reports", "a"), 2)
    assert line == "recurrio: --reports a: is --rejects already"
    assert run_here("train", "data.csv", *PLAIN, "--out", "out").code == 0
    model = Path("out/model.safetensors").read_bytes()
    for what, name in (("SOURCE", "linked.csv"), ("MODEL", "out/model.safetensors")):
        line = only_line(run_here("predict", "out", "data.csv", "--rejects", name), 2)
        assert line == f"recurrio: --rejects {name}: is {what} already"
    assert Path("data.csv").read_text() == CSV
    assert Path("out/model.safetensors").read_bytes() == model


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("option", ["--predictions", "--rejects", "--reports"])
def test_a_full_disk_is_named_and_the_model_before_is_saved(option: str) -> None:
    rows = "".join(f"a,{n % 7},{'-' * 200}\n" for n in range(10_000))  # several blocks
    Path("much.csv").write_text(f"k,x,z\n{rows}a,much,\n")
    done = run_here("train", "much.csv", *PLAIN, "--seq-len", 64, option, "/dev/full", "--out", "out")
    line = only_line(Done(done.code, "", done.errors), 1)
    assert line.startswith("recurrio: /dev/full: No space left on device")
    if option != "--predictions":  # the first of which comes before the first batch
        assert line.endswith("; the model as it was before is in out/model.safetensors")
        assert run_here("inspect", "out").code == 0


def test_inspect_and_predict_of_nonsense() -> None:
    Path("text.txt").write_text("some words " * 400)
    assert run_here("train", "text.txt", "--hidden", 8, "--out", "text").code == 0
    shown = run_here("inspect", "text")
    assert (shown.code, "vocabulary:" in shown.output, "features:" in shown.output) == (0, True, False)
    Path("cut").write_bytes(Path("text/model.safetensors").read_bytes()[:200])
    for path in ("cut", "data.csv", "empty.csv", "none", "."):
        assert (path if path != "." else "model.safetensors") in only_line(run_here("inspect", path), 1)
        only_line(run_here("predict", path, "data.csv"), 1)
    assert "no model for records" in only_line(run_here("predict", "text", "data.csv"), 1)
    assert run_here("train", "data.csv", *PLAIN, "--out", "out").code == 0
    assert "no text model" in only_line(run_here("generate", "out"), 1)


NAMES = ["température", "a b", "a.b", "a@+1", "record", "prediction", "x:category", 'é"q', "f0", "__class__", "a\nb"]


@pytest.mark.parametrize("name", [*NAMES, "k@+2", ":category", " ", "😀", "@", "-x"])
def test_a_field_may_have_any_name(name: str) -> None:
    Path("named.jsonl").write_text("".join(json.dumps({"k": n % 3, name: n % 7}) + "\n" for n in range(100)))
    words = ["--key", "k", "--features", name, "--target", f"{name}@+1", "--json", "--out", "out"]
    done = run_here("train", "named.jsonl", *words, "--predictions", "p")
    assert done.code == 0, done.errors
    assert done.report["applied"] == 97
    assert run_here("inspect", "out").code == 0
    assert len(parsed(run_here("predict", "out", "named.jsonl").output)) == 100
