"""Signals are answered wherever the command is, and leave a model behind where there is one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recurrio.core import TextModel

SMALL = ["--hidden", "16", "--embedding", "8", "--batch-size", "4", "--seq-len", "16"]
Start = Callable[..., subprocess.Popen[bytes]]
ENDING = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
each_signal = pytest.mark.parametrize(("number", "code"), ENDING.items())

# Code that puts a line on standard output and sleeps in the place of a function of the command.
SLEEPING = """
import os, time
import {module} as module
def sleeping(*arguments, **options):
    os.write(1, b"there\\n")
    time.sleep({seconds})
module.{function} = sleeping
"""
PLACES = {
    "the event loop": SLEEPING.format(
        module="recurrio.pipeline.command.train_text", function="default_epochs", seconds=60
    ),
    "the model": SLEEPING.format(module="recurrio.pipeline.command.train_text", function="SequenceModel", seconds=60),
    "saving": SLEEPING.format(module="os", function="fsync", seconds=60),
}


def reach(process: subprocess.Popen[bytes], line: bytes) -> None:
    """Read on until `line` comes."""
    assert process.stdout is not None
    for got in process.stdout:
        if got == line:
            return
    raise AssertionError(process.stderr and process.stderr.read())


def catches(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether the process has a handler of this signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@each_signal
@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
def test_a_signal_writes_the_weights(
    executor: str, number: int, code: int, start: Start, text_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    # It leaves some symbols over at the end.
    words = ["train", text_file, "--steps", 1000000, "--executor", executor, "--out", out, "--batch-size", 7, "--json"]
    process = start(*words)
    process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in errors.decode()
    assert "interrupted: " in errors.decode()
    assert "at the end" not in errors.decode()
    TextModel.load(out / "model.safetensors")


@each_signal
def test_a_signal_while_the_model_is_written_does_not_lose_it(
    number: int, code: int, start: Start, text_file: Path, tmp_path: Path
) -> None:
    prelude = SLEEPING.format(module="os", function="fsync", seconds=0.3)
    out = tmp_path / "out"
    process = start("train", text_file, *SMALL, "--steps", 9, "--out", out, prelude=prelude)
    reach(process, b"there\n")
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (code, b"")
    assert b"interrupted: 9 steps" in output
    assert sorted(os.listdir(out)) == [".lock", "checkpoints", "history.safetensors", "model.safetensors"]
    assert len(TextModel.load(out / "model.safetensors").vocabulary) > 9


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", PLACES)
def test_a_second_signal_ends_it_at_once_wherever_it_is(
    place: str, second: signal.Signals, start: Start, text_file: Path, tmp_path: Path
) -> None:
    took = []
    for attempt in range(3):  # the machine may have something else to do
        words = ["train", text_file, *SMALL, "--steps", 9, "--out", tmp_path / str(attempt)]
        process = start(*words, prelude=PLACES[place])
        reach(process, b"there\n")
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)  # two at the same moment are one
        begin = time.monotonic()
        process.send_signal(second)
        _, errors = process.communicate(timeout=30)
        took.append(time.monotonic() - begin)
        assert errors == b""
        # Building the model, there is nothing to wait for: the first one is enough.
        assert process.returncode in ((130, ENDING[second]) if place == "the model" else (ENDING[second],))
        if took[-1] < 0.2:
            break
    assert min(took) < 0.2


@each_signal
def test_a_signal_while_a_large_model_is_built_ends_it(
    number: int, code: int, start: Start, text_file: Path, tmp_path: Path
) -> None:
    process = start("train", text_file, *SMALL, "--out", tmp_path, prelude=PLACES["the model"])
    reach(process, b"there\n")
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (code, b"")
    assert output == b"interrupted before the first step; nothing was written\n"


@each_signal
@pytest.mark.parametrize("module", ["numpy", "trio"])
def test_a_signal_while_modules_are_imported_is_one_line(
    module: str, number: int, code: int, start: Start, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text("import os, time\nos.write(1, b'there\\n')\ntime.sleep(60)\n")
    process = start("train", "none.txt", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    reach(process, b"there\n")
    process.send_signal(number)
    assert process.communicate(timeout=30) == (b"", b"recurrio: interrupted\n")
    assert process.returncode == code


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="sees from /proc that signals are caught")
def test_a_signal_at_any_moment_of_the_start_is_one_line_and_its_code(
    start: Start, text_file: Path, tmp_path: Path
) -> None:
    rng = random.Random(0)
    for attempt in range(12):
        process = start("train", text_file, *SMALL, "--steps", 1000000, "--json", "--out", tmp_path / str(attempt))
        deadline = time.monotonic() + 30
        while not catches(process, signal.SIGTERM):
            assert time.monotonic() < deadline
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        lines = [line for line in errors.decode().splitlines() if not line.startswith(("lstm ", "executor: "))]
        assert process.returncode == 130
        assert len(lines) == 1, errors.decode()
        assert "interrupted" in lines[0]


def test_a_closed_terminal_may_hang_up_more_than_once(start: Start, text_file: Path, tmp_path: Path) -> None:
    prelude = SLEEPING.format(module="os", function="fsync", seconds=0.3)
    process = start("train", text_file, *SMALL, "--steps", 9, "--out", tmp_path / "out", prelude=prelude)
    reach(process, b"there\n")
    for _ in range(3):  # from the shell, and from the kernel
        process.send_signal(signal.SIGHUP)
        time.sleep(0.02)
    process.communicate(timeout=30)
    assert process.returncode == 129
    TextModel.load(tmp_path / "out" / "model.safetensors")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_at_the_start_stays_so(
    number: signal.Signals, start: Start, text_file: Path, tmp_path: Path
) -> None:
    words = ["train", text_file, *SMALL, "--steps", 1000000, "--json", "--out", tmp_path / "out"]
    process = start(*words, preexec_fn=lambda: signal.signal(number, signal.SIG_IGN), stderr=subprocess.DEVNULL)
    process.stdout.readline()
    for _ in range(2):
        process.send_signal(number)
        for _ in range(100):  # it goes on
            assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143


def test_a_signal_while_waiting_for_input(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("train", "-", "--out", out, stdin=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not out.exists():  # it has started
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert not out.exists()


def test_a_signal_ends_generate(start: Start, text_file: Path, tmp_path: Path) -> None:
    start("train", text_file, *SMALL, "--steps", 1, "--out", tmp_path / "out").wait(timeout=30)
    process = start("generate", tmp_path / "out", "--length", 1000000)
    process.stdout.read(10)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"recurrio: interrupted\n")


@each_signal
@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_signal_ends_the_demonstration_and_leaves_nothing(
    when: str, number: int, code: int, start: Start, tmp_path: Path
) -> None:
    process = start("demo", env={**os.environ, "TMPDIR": str(tmp_path)})
    if when == "later":
        for _ in range(4):
            process.stdout.readline()
    else:
        deadline = time.monotonic() + 30
        while not any(tmp_path.iterdir()):  # the text that it learns is being written
            assert time.monotonic() < deadline
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (code, b"")
    assert output.splitlines()[-1] == b"interrupted: of a demonstration nothing is kept"
    assert list(tmp_path.iterdir()) == []
