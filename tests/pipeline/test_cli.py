"""The command as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recurrio.core import TextModel

COMMAND = [sys.executable, "-c", "import sys; from recurrio.pipeline.command.cli import main; sys.exit(main())"]
SMALL = ["--hidden", "16", "--embedding", "8", "--batch-size", "4", "--seq-len", "16"]


def recurrio(*arguments: object, text: str | bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    data = text.encode() if isinstance(text, str) else text
    words = [str(argument) for argument in arguments]
    done = subprocess.run([*COMMAND, *words], input=data or b"", capture_output=True, timeout=60, check=False)
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_train_and_generate(text_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "an out folder"
    done = recurrio("train", text_file, *SMALL, "--steps", 300, "--lr", 0.01, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("done: 300 steps, loss ")
    assert os.listdir(out) == ["model.safetensors"]
    for checkpoint in (out, out / "model.safetensors"):
        written = recurrio("generate", checkpoint, "--prompt", "the quick", "--length", 60, "--temperature", 0)
        assert (written.returncode, written.stderr) == (0, "")
        assert written.stdout.startswith("the quick brown fox")
        assert len(written.stdout) == len("the quick") + 60 + 1


def test_version_names_what_it_computes_with() -> None:
    done = recurrio("--version")
    assert done.returncode == 0
    assert re.fullmatch(
        r"recurrio \d\S+ \(Python 3\S+, NumPy \S+, kernels: (NumPy|plain|AVX2|AVX-512)\)\n", done.stdout
    )


def test_json_is_one_object_a_line(text_file: Path, tmp_path: Path) -> None:
    done = recurrio("train", text_file, *SMALL, "--steps", 5, "--json", "--delay", 1, "--out", tmp_path)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["step"] for report in reports] == [1, 2, 3, 4, 5]
    assert [report["version"] for report in reports] == [0, 0, 1, 2, 3]
    wanted = {"loss", "tokens_per_second", "grad_norm", "staleness", "stages", "channels"}
    assert wanted <= reports[0].keys()


def test_the_same_command_gives_the_same_weights(text_file: Path, tmp_path: Path) -> None:
    weights = []
    for name, executor in (("a", "inline"), ("b", "process")):
        recurrio("train", text_file, "--hidden", 128, "--steps", 5, "--executor", executor, "--out", tmp_path / name)
        weights.append(TextModel.load(tmp_path / name / "model.safetensors").model.parameters.tobytes())
    assert weights[0] == weights[1]


def test_standard_input(tmp_path: Path) -> None:
    done = recurrio("train", "-", *SMALL, "--out", tmp_path, text="to be or not to be, that is the question. " * 50)
    assert done.returncode == 0
    assert "done: 32 steps" in done.stdout
    assert "52 symbols at the end filled no batch" in done.stdout


def test_a_slow_pipe_trains_before_its_end(tmp_path: Path) -> None:
    words = [*COMMAND, "train", "-", *SMALL, "--json", "--out", str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
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
    "an output that is no folder": (["train", "text.txt", "--out", "text.txt"], 1, "--out text.txt: File exists"),
    "an output below a file": (["train", "text.txt", "--out", "text.txt/x"], 1, "--out text.txt/x: Not a directory"),
    "a trace in no folder": (["train", "text.txt", "--trace", "none/t.json"], 1, "--trace none/t.json: No such file"),
    "a timeline that is a folder": (["train", "text.txt", "--timeline", "."], 1, "--timeline .: Is a directory"),
    "no watchdog": (["train", "text.txt", "--watchdog", "0"], 2, "--watchdog: expected a finite number above 0"),
    "a diverging run": (["train", "text.txt", "--lr", "1e38", "--epochs", "9"], 1, "a smaller learning rate"),
    "no checkpoint": (["generate", "text.txt"], 1, "text.txt: not a safetensors file"),
    "a missing checkpoint": (["generate", "none"], 1, "none: No such file or directory"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_the_right_code(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_a_signal_writes_the_weights(
    executor: str, number: signal.Signals, code: int, text_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [*COMMAND, "train", str(text_file), "--steps", "1000000", "--executor", executor, "--out", str(out)]
    words += ["--batch-size", "7"]  # it leaves some symbols over at the end
    with subprocess.Popen([*words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in errors.decode()
    assert "interrupted: " in errors.decode()
    assert "at the end" not in errors.decode()
    TextModel.load(out / "model.safetensors")


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_trace_and_a_picture_are_written(interrupted: bool, text_file: Path, tmp_path: Path) -> None:
    trace, picture = tmp_path / "a trace.json", tmp_path / "a picture.svg"
    words = [*COMMAND, "train", str(text_file), *SMALL, "--delay", "1", "--shards", "2", "--executor", "process"]
    words += ["--steps", "1000000" if interrupted else "40", "--out", str(tmp_path), "--json"]
    words += ["--trace", str(trace), "--timeline", str(picture)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
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


def test_a_second_signal_ends_it_at_once(text_file: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "train", str(text_file), "--hidden", "512", "--steps", "1000000", "--executor", "thread"]
    with subprocess.Popen([*words, "--out", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()  # a pass of some hundred milliseconds is under way
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == b""


def test_a_signal_while_waiting_for_input(tmp_path: Path) -> None:
    words = [*COMMAND, "train", "-", "--out", str(tmp_path / "out")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "out").exists():  # it has started
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("options", [["--json"], []])
def test_output_that_is_closed_early_ends_it_cleanly(options: list[str], text_file: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "train", str(text_file), *SMALL, "--steps", "1000000", "--out", str(tmp_path), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read().decode()
        assert process.wait(timeout=30) == 0
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    TextModel.load(tmp_path / "model.safetensors")


def test_generate_into_a_closed_pipe(text_file: Path, tmp_path: Path) -> None:
    recurrio("train", text_file, *SMALL, "--steps", 1, "--out", tmp_path)
    words = [*COMMAND, "generate", str(tmp_path), "--length", "1000000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0


def test_the_demonstration() -> None:
    done = recurrio("demo", "--seconds", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert "What it writes after “def ”" in done.stdout


MEMORY = """
import sys, numpy as np, trio
from recurrio.core import Adagrad, SequenceBatch, SequenceModel
from recurrio.pipeline import Trainer

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

rng = np.random.default_rng(0)
tokens = rng.integers(0, 30, (3000, 2, 8, 4), np.int32)
sizes = {}
def note(report):
    if report.step in (300, 3000):
        sizes[report.step] = resident()
trio.run(lambda: Trainer(SequenceModel(30, embedding_size=8, hidden_size=16), Adagrad(), executor=sys.argv[1]).run(
    (SequenceBatch(*pair) for pair in tokens), on_report=note))
print(sizes[3000] / sizes[300])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident size from /proc")
@pytest.mark.parametrize("executor", ["inline", "thread"])
def test_memory_stays_flat(executor: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, executor], capture_output=True, check=True, timeout=120)
    assert float(done.stdout) < 1.05
