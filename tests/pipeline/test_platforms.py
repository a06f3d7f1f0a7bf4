"""Where worker processes cannot be used, that is said, and the rest works: other systems, frozen and embedded Python.

The other systems are this one without what they do not have; nothing here was run on them.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from recurrio.core import Adam, SequenceModel
from recurrio.pipeline import Trainer
from recurrio.pipeline.flow.worker_process import WORKER, obstacle

# What follows a prologue that turns this system into another.
PROGRAM = """
import functools, trio, numpy as np
from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.pipeline import SourceError, Trainer, open_source
from recurrio.pipeline.plan import plan
from recurrio.pipeline.executors import chooser
from recurrio.pipeline.training import run
plan.processors = chooser.processors = run.processors = lambda: 2
batches = [SequenceBatch(*pair) for pair in np.random.default_rng(0).integers(0, 9, (60, 2, 6, 4), np.int32)]
results, choices = set(), set()
for executor in ("inline", "thread", "auto"):
    model = SequenceModel(9, hidden_size=8, seed=1)
    trainer = Trainer(model, Adam(0.01), ranks=2, shards=2, executor=executor)
    on_report = lambda report: choices.add(trainer.choice)
    trio.run(functools.partial(trainer.run, batches + batches, on_report=on_report))
    results.add(model.parameters.tobytes())
print(len(results), sorted(choices, key=len)[-1])
try:
    Trainer(model, Adam(0.01), executor="process")
except ValueError as error:
    print(error)
async def read():
    async with open_source("a text.txt", batch_size=2, seq_len=4) as source:
        return source.symbols
try:
    print(trio.run(read))
except SourceError as error:
    print(error)
"""
MACOS = """
import os, platform
platform.system, platform.machine = (lambda: "Darwin"), (lambda: "arm64")
del os.memfd_create, os.sched_getaffinity
"""
WINDOWS = """
import mmap, os, platform, signal, sys
platform.system, platform.machine = (lambda: "Windows"), (lambda: "AMD64")
del os.memfd_create, os.sched_getaffinity, os.sched_yield, os.pread, os.fork, signal.SIGHUP, mmap.MAP_SHARED
sys.modules |= dict.fromkeys(("fcntl", "grp", "pwd", "resource", "termios", "tty"))
"""


def run(*words: str, **options: object) -> str:
    """What a command prints that must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("prologue", "system"), [(MACOS, "Darwin on arm64"), (WINDOWS, "Windows on AMD64")], ids=["macOS", "Windows"]
)
def test_another_system_trains_inline_and_in_threads_and_says_why_not_in_processes(
    prologue: str, system: str, text_file: Path
) -> None:
    numbers, refusal, symbols = run(sys.executable, "-c", prologue + PROGRAM, cwd=text_file.parent).splitlines()
    why = f"worker processes take Linux on x86-64, and this is {system}"
    assert numbers.startswith("1 ")  # the same weights
    assert numbers.endswith(f"; process cannot be used: {why}")
    assert refusal == f"executor: 'process' cannot be used here: {why}; use 'auto'"
    assert symbols.startswith("17200")


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A system with all that worker processes take."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "memfd_create", lambda name: 0, raising=False)
    monkeypatch.delenv(WORKER, raising=False)
    assert obstacle() is None
    return monkeypatch


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda patch: patch.setattr(platform, "machine", lambda: "aarch64"), "this is Linux on aarch64"),
        (lambda patch: patch.delattr(os, "memfd_create"), "built without memfd_create"),
        (lambda patch: patch.setenv(WORKER, "1"), "started as a worker process"),
        (lambda patch: patch.setattr(sys, "frozen", True, raising=False), "a frozen application"),
        (lambda patch: patch.setattr(sys, "executable", ""), "is '', which is no Python"),
        (lambda patch: patch.setattr(sys, "executable", None), "is '', which is no Python"),
        (lambda patch: patch.setattr(sys, "executable", "/bin/ls"), "is '/bin/ls', which is no Python"),
        (lambda patch: patch.setattr(sys, "executable", "/nowhere/python3"), "'/nowhere/python3', which is no Python"),
    ],
)
def test_an_obstacle_is_named(change: object, why: str, linux: pytest.MonkeyPatch) -> None:
    change(linux)  # type: ignore[operator]
    assert why in str(obstacle())
    with pytest.raises(ValueError, match="executor: 'process' cannot be used here: ") as caught:
        Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), executor="process")
    assert why in str(caught.value)


def test_a_python_of_another_name_is_python_by_what_it_links_to(linux: pytest.MonkeyPatch, tmp_path: Path) -> None:
    link = tmp_path / "interpreter"
    link.symlink_to(sys.executable)
    linux.setattr(sys, "executable", str(link))
    assert obstacle() is None


# An application is a program that counts its starts, whatever words it is started with. Its first lines are for a
# shell, and a string for Python: a first line with the interpreter's path alone could not have a space in it.
APPLICATION = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
with open({starts!r}, "a") as file:
    file.write("started\\n")
sys.executable = __file__
{frozen}
{program}
"""


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
@pytest.mark.parametrize(
    ("name", "frozen", "most", "why"),
    [
        ("application", "sys.frozen = True", 1, "a frozen application"),
        ("application", "", 1, "is no Python"),
        ("python-application", "", 3, ""),  # taken for Python: its two workers start no workers of their own
    ],
)
def test_an_application_does_not_start_itself_again_and_again(
    name: str, frozen: str, most: int, why: str, text_file: Path
) -> None:
    folder = text_file.parent
    application, starts = folder / name, folder / "starts"
    program = PROGRAM.replace("ranks=2, shards=2,", "ranks=2, watchdog=5.0,")
    words = {"python": sys.executable, "starts": str(starts), "frozen": frozen, "program": program}
    application.write_text(APPLICATION.format(**words))
    application.chmod(0o700)
    printed = run(str(application), cwd=folder)
    assert printed.startswith("1 ")
    assert why in printed
    assert len(starts.read_text().splitlines()) <= most
