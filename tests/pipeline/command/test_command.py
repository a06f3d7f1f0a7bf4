"""The command as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recurrio.core import TextModel

SMALL = ["--hidden", "16", "--embedding", "8", "--batch-size", "4", "--seq-len", "16"]
Recurrio = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[bytes]]


def test_train_and_generate(recurrio: Recurrio, text_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "an out folder"
    done = recurrio("train", text_file, *SMALL, "--steps", 300, "--lr", 0.01, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("done: 300 steps, loss ")
    assert sorted(os.listdir(out)) == [".lock", "checkpoints", "history.safetensors", "model.safetensors"]
    for model in (out, out / "model.safetensors"):
        written = recurrio("generate", model, "--prompt", "the quick", "--length", 60, "--temperature", 0)
        assert (written.returncode, written.stderr) == (0, "")
        assert written.stdout.startswith("the quick brown fox")
        assert len(written.stdout) == len("the quick") + 60 + 1


def test_version_names_what_it_computes_with(recurrio: Recurrio) -> None:
    done = recurrio("--version")
    assert done.returncode == 0
    assert re.fullmatch(
        r"recurrio \d\S+ \(Python 3\S+, NumPy \S+, kernels: (NumPy|plain|AVX2|AVX-512)\)\n", done.stdout
    )


def test_json_is_one_object_a_line(recurrio: Recurrio, text_file: Path, tmp_path: Path) -> None:
    done = recurrio("train", text_file, *SMALL, "--steps", 5, "--json", "--delay", 1, "--out", tmp_path)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["step"] for report in reports] == [1, 2, 3, 4, 5]
    assert [report["version"] for report in reports] == [0, 0, 1, 2, 3]
    assert {"loss", "grad_norm", "staleness", "tokens", "unknown"} <= reports[0].keys()
    assert {"tokens_per_second", "seconds", "executor", "stages", "channels"} <= reports[0]["timing"].keys()


def test_the_same_command_gives_the_same_weights(start: Start, text_file: Path, tmp_path: Path) -> None:
    weights = []
    for seed, (name, executor) in enumerate((("a", "inline"), ("b", "process"))):
        words = ["train", text_file, "--hidden", 128, "--steps", 5, "--executor", executor, "--out", tmp_path / name]
        assert start(*words, env={**os.environ, "PYTHONHASHSEED": str(seed)}).communicate()[1] == b""
        weights.append(TextModel.load(tmp_path / name / "model.safetensors").model.parameters.tobytes())
    assert weights[0] == weights[1]


def test_standard_input(recurrio: Recurrio, tmp_path: Path) -> None:
    done = recurrio("train", "-", *SMALL, "--out", tmp_path, text="to be or not to be, that is the question. " * 50)
    assert done.returncode == 0
    assert "done: 32 steps" in done.stdout
    assert "52 symbols at the end filled no batch" in done.stdout


def test_a_slow_pipe_trains_before_its_end(start: Start, tmp_path: Path) -> None:
    words = ["train", "-", *SMALL, "--json", "--out", tmp_path]
    with start(*words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x" * 65)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["step"] == 1  # the input is still open
        process.stdin.close()
        assert process.wait(timeout=30) == 0


BAD = {
    "a missing file": (["train", "none.txt"], 1, "none.txt: No such file or directory"),
    "a folder": (["train", "."], 1, ".: Is a directory"),
    "an empty file": (["train", "empty.txt"], 1, "empty.txt: the file is empty"),
    "too short": (["train", "short.txt"], 1, "9 symbols are shorter than one batch"),
    "no UTF-8": (["train", "binary.txt"], 1, "byte 0xff at offset 4000 is not UTF-8; --vocabulary bytes"),
    "no hidden units": (["train", "text.txt", "--hidden", "0"], 2, "--hidden: expected a whole number of at least 1"),
    "no learning rate": (["train", "text.txt", "--lr", "nan"], 2, "--lr: expected a finite number above 0, got 'nan'"),
    "an unknown cell": (["train", "text.txt", "--cell", "tree"], 2, "--cell: invalid choice: 'tree'"),
    "no command": ([], 2, "COMMAND"),
    "too many shards": (["train", "text.txt", "--shards", "99"], 2, "shards: expected 1 to 32"),
    "an impossible size": (["train", "text.txt", "--hidden", "9999999"], 1, "not enough memory"),
    "an output that is no folder": (
        ["train", "text.txt", "--out", "text.txt"],
        1,
        "--out text.txt: is there, and no folder",
    ),
    "an output below a file": (["train", "text.txt", "--out", "text.txt/x"], 1, "--out text.txt/x: Not a directory"),
    "a trace in no folder": (["train", "text.txt", "--trace", "none/t.json"], 1, "--trace none/t.json: No such file"),
    "a timeline that is a folder": (["train", "text.txt", "--timeline", "."], 1, "--timeline .: Is a directory"),
    "no watchdog": (["train", "text.txt", "--watchdog", "0"], 2, "--watchdog: expected a finite number above 0"),
    "a diverging run": (
        ["train", "text.txt", "--lr", "1e38", "--epochs", "9", "--on-bad-batch", "stop"],
        1,
        "a smaller learning rate",
    ),
    "no model": (["generate", "text.txt"], 1, "text.txt: not a safetensors file"),
    "a missing model": (["generate", "none"], 1, "none: No such file or directory"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_the_right_code(
    recurrio: Recurrio, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").touch()
    Path("short.txt").write_text("too short")
    Path("text.txt").write_text("some words " * 400)
    Path("binary.txt").write_bytes(b"abcd" * 1000 + b"\xff")
    arguments, code, message = BAD[case]
    done = recurrio(*arguments)
    assert done.returncode == code
    lines = [line for line in done.stderr.splitlines() if not line.startswith("lstm ")]
    assert len(lines) == 1, done.stderr
    assert message in lines[0]


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_trace_and_a_picture_are_written(start: Start, interrupted: bool, text_file: Path, tmp_path: Path) -> None:
    trace, picture = tmp_path / "a trace.json", tmp_path / "a picture.svg"
    words = ["train", text_file, *SMALL, "--delay", "1", "--shards", "2", "--executor", "process"]
    words += ["--steps", "1000000" if interrupted else "40", "--out", tmp_path, "--json"]
    words += ["--trace", trace, "--timeline", picture]
    with start(*words) as process:
        assert process.stdout is not None
        for _ in range(40):
            process.stdout.readline()
        if interrupted:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    events = json.loads(trace.read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    names = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert names == {"load", "forward 0", "forward 1", "backward 0", "backward 1", "update"}
    assert {event["args"]["batch"] for event in spans} >= set(range(40))
    overlaps = [
        (one["name"], other["name"])
        for one in spans
        for other in spans
        if one["tid"] != other["tid"] and one["ts"] < other["ts"] < one["ts"] + one["dur"]
    ]
    assert len(overlaps) > 20  # passes of several shards and batches at the same time
    root = ElementTree.fromstring(picture.read_text())
    assert len(root.findall(".//{http://www.w3.org/2000/svg}rect")) > 12 * 5
