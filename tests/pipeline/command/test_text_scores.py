"""The scores of a text in the reports of `recurrio train`: those of the first pass, however it is computed or cut."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from support.in_process import parsed, run_here

from recurrio.pipeline.checkpoint import CheckpointStore
from recurrio.pipeline.command.folder import states_path

WORDS: list[object] = ["--hidden", 6, "--embedding", 4, "--batch-size", 4, "--seq-len", 8, "--lr", 0.02]
TEXT = "to be or not to be, that is the question. whether 'tis nobler in the mind to suffer " * 30
PER_PASS = (len(TEXT) // 4 - 1) // 8


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text(TEXT, encoding="utf-8")
    return tmp_path


def reports(*words: object) -> list[dict[str, Any]]:
    """Of a run, without what depends on the clock."""
    assert run_here("train", "text", *WORDS, "--reports", "reports", *words).code == 0
    return [{name: value for name, value in report.items() if name != "timing"} for report in parsed(Path("reports"))]


@pytest.mark.parametrize("words", [["--shards", 1], ["--shards", 2], ["--delay", 1], ["--vocabulary", "bytes"]])
def test_bits_are_those_of_the_losses_of_the_first_pass(words: list[object]) -> None:
    found = reports("--executor", "inline", "--epochs", 2, *words)
    assert len(found) == 2 * PER_PASS
    nats = 0.0
    for step, report in enumerate(found, 1):
        nats += 32 * report["loss"] if step <= PER_PASS else 0
        metrics, count = report["metrics"]["all"], 32 * min(step, PER_PASS)
        bits = nats / count / math.log(2)
        assert metrics["count"] == count
        assert metrics["bits_per_symbol"] == pytest.approx(bits, rel=1e-12)
        assert metrics["perplexity"] == pytest.approx(2**bits)
        assert metrics["skill"] == pytest.approx(1 - bits / metrics["naive_bits_per_symbol"])
    symbols = 256 if "bytes" in words else len({*TEXT}) + 1  # and the unknown one
    assert found[0]["metrics"]["all"]["naive_bits_per_symbol"] == pytest.approx(math.log2(symbols))
    shares = [TEXT.count(symbol) / len(TEXT) for symbol in {*TEXT}]
    entropy = -sum(share * math.log2(share) for share in shares)
    assert entropy < found[-1]["metrics"]["all"]["naive_bits_per_symbol"] < entropy + (1 if "bytes" in words else 0.3)


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("delay", [0, 2])
def test_they_are_the_same_with_any_executor(shards: int, delay: int) -> None:
    words = ["--shards", shards, "--delay", delay, "--report-every", 7]
    inline, thread, process = (reports("--executor", name, *words) for name in ("inline", "thread", "process"))
    assert inline == thread == process
    assert inline[-1]["metrics"] == reports("--executor", "inline", *words[:-2])[-1]["metrics"]


@pytest.mark.parametrize("delay", [0, 2])
def test_a_run_goes_on_with_them(delay: int) -> None:
    words = ["--executor", "inline", "--delay", delay, "--epochs", 2, "--out", "run", "--checkpoint-every", 7]
    words += ["--keep", 99]
    expected = reports(*words)
    for steps in (1, 20, PER_PASS, PER_PASS + 9):
        assert reports(*words, "--overwrite" if steps == 1 else "--resume", "--steps", steps)[-1]["step"] == steps
    assert reports(*words, "--resume") == expected
    for step in CheckpointStore(states_path("run")).steps()[-2:1:-2]:  # as a run that was killed behind it
        assert reports(*words, "--resume", "--from-checkpoint", step) == expected


def test_they_are_said() -> None:
    done = run_here("train", "text", *WORDS, "--executor", "inline")
    (last,) = [line for line in done.output.splitlines() if line.startswith("done:")]
    metrics = reports("--executor", "inline")[-1]["metrics"]["all"]
    naive = metrics["naive_bits_per_symbol"]
    assert f"{metrics['bits_per_symbol']:.3f} bits a symbol (naive {naive:.3f}) in the first pass" in last
