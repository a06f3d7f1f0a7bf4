"""`--resume`, `--from-checkpoint`, `--init` and `--rotate` from the command line, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.in_process import Done, parsed, run_here
from support.streams import as_jsonl, make_data

from recurrio.core.base.state import Part
from recurrio.core.online import RecordModel
from recurrio.pipeline import History
from recurrio.pipeline.checkpoint import CheckpointStore
from recurrio.pipeline.checkpoint.file import read_checkpoint, write_checkpoint

DATA = as_jsonl(make_data(2000, 9, broken=20))
RECORDS: list[object] = ["--key", "k", "--features", "x,c:category", "--target", "x@+1", "--hidden", 5]
RECORDS += ["--batch-size", 6, "--seq-len", 4, "--executor", "inline", "--checkpoint-every", 7]
OUTPUTS: list[object] = ["--predictions", "predictions", "--rejects", "rejects", "--reports", "reports"]
OUTPUTS += ["--report-every", 5]
COMMAND = [sys.executable, "-c", "from recurrio.pipeline.command.cli import main; main()"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "records.jsonl").write_bytes(DATA)
    return tmp_path


def train(*words: object, source: str = "records.jsonl") -> Done:
    return run_here("train", source, *RECORDS, "--out", "run", *words)


def outputs() -> tuple[Any, ...]:
    reports = parsed(Path("reports"))
    for report in reports:
        del report["timing"]
    return Path("predictions").read_bytes(), Path("rejects").read_bytes(), reports


def test_it_begins_or_goes_on() -> None:
    assert train("--resume", *OUTPUTS).code == 0
    expected, model = outputs(), Path("run/model.safetensors").read_bytes()
    again = train("--resume", *OUTPUTS)
    assert again.code == 0
    assert "going on from step " in again.output
    assert (outputs(), Path("run/model.safetensors").read_bytes()) == (expected, model)
    for steps in (1, 20, 50):
        assert train("--overwrite" if steps == 1 else "--resume", *OUTPUTS, "--steps", steps).code == 0
        assert sum(1 for report in parsed(Path("reports")) if report["step"] == steps) >= 1
    assert train("--resume", *OUTPUTS, "--executor", "thread").code == 0
    assert outputs() == expected


def test_what_is_wrong_usage() -> None:
    assert train("--resume", "--overwrite").code == 2
    assert train("--resume", "--checkpoint-every", "none").code == 2
    for option in (["--resume"], ["--from-checkpoint", 3]):
        done = run_here("train", "records.jsonl", *RECORDS, *option)
        assert (done.code, done.errors) == (2, f"recurrio: {option[0]}: expected --out DIR beside it\n")


def test_other_settings_are_refused_and_listed() -> None:
    train("--steps", 20)
    before = Path("run/model.safetensors").read_bytes()
    done = train("--resume", "--lr", 0.5, "--seed", 7, "--missing", "-9")
    assert done.code == 1
    for part in ("--lr was null, is 0.5", "--seed was 0, is 7", '--missing was [], is ["-9"]'):
        assert part in done.errors
    assert "--features" not in done.errors
    assert Path("run/model.safetensors").read_bytes() == before


def test_an_older_one_can_be_gone_back_to() -> None:
    train(*OUTPUTS)
    expected = outputs()
    steps = CheckpointStore("run/checkpoints").steps()
    wrong = train("--from-checkpoint", 3)
    assert (wrong.code, "expected one of those that there are" in wrong.errors) == (1, True)
    back = train("--from-checkpoint", steps[0], "--steps", steps[0], *OUTPUTS)
    assert back.code == 0
    assert CheckpointStore("run/checkpoints").steps() == steps[:1]
    assert train("--resume", *OUTPUTS).code == 0
    assert outputs() == expected


def test_another_build_is_said() -> None:
    train("--steps", 20)
    store = CheckpointStore("run/checkpoints")
    path = store.path(store.steps()[-1])
    part = read_checkpoint(path)
    write_checkpoint(
        path, Part(part.arrays, {**part.about, "fingerprint": {**part.about["fingerprint"], "numpy": "1"}})
    )
    done = train("--resume")
    assert done.code == 0
    assert "not to the last bit as it would have been: numpy was 1, is " in done.errors


def test_a_damaged_one_is_named_and_passed_over() -> None:
    train(*OUTPUTS)
    expected = outputs()
    store = CheckpointStore("run/checkpoints")
    newest = store.path(store.steps()[-1])
    newest.write_bytes(newest.read_bytes()[:-3])
    done = train("--resume", *OUTPUTS)
    assert done.code == 0
    assert f"recurrio: warning: passed over: {newest}: " in done.errors
    assert outputs() == expected
    for step in store.steps():
        store.path(step).write_bytes(b"")
    done = train("--resume")
    assert done.code == 1
    assert "no whole checkpoint" in done.errors


def test_rotated_files_are_cut_back_too(folder: Path) -> None:
    train(*OUTPUTS, "--rotate", "20k")
    names = sorted(path.name for path in folder.iterdir() if path.name.startswith(("predictions", "rejects")))
    expected = {name: (folder / name).read_bytes() for name in names}
    assert len([name for name in names if name.startswith("predictions.")]) > 2
    for name in names:
        (folder / name).unlink()
    assert train("--overwrite", *OUTPUTS, "--rotate", "20k", "--steps", 30).code == 0
    assert train("--resume", *OUTPUTS, "--rotate", "20k", "--steps", 70).code == 0
    store = CheckpointStore("run/checkpoints")
    store.path(store.steps()[-1]).unlink()  # so that more is cut back than is written again at once
    assert train("--resume", *OUTPUTS, "--rotate", "20k").code == 0
    assert {name: (folder / name).read_bytes() for name in names} == expected


def test_a_run_begins_with_the_weights_of_another() -> None:
    train()
    done = run_here("train", "records.jsonl", *RECORDS, "--init", "run", "--steps", 1, "--lr", 1e-30, "--out", "other")
    assert done.code == 0
    one, other = (RecordModel.load(f"{name}/model.safetensors").model.parameters for name in ("run", "other"))
    assert (one == other).all()
    wrong = run_here("train", "records.jsonl", *RECORDS, "--hidden", 6, "--init", "run", "--out", "third")
    assert (wrong.code, "hidden_size 5 there, 6 here" in wrong.errors) == (2, True)


def test_without_checkpoints_there_are_none(folder: Path) -> None:
    done = run_here("train", "records.jsonl", *RECORDS[:-2], "--checkpoint-every", "none", "--out", "run")
    assert done.code == 0
    assert sorted(os.listdir("run")) == [".lock", "model.safetensors"]


Start = Callable[..., subprocess.Popen[bytes]]


def stop_at(words: list[object], number: signal.Signals, source: bytes | None, lines: int) -> int:
    """Run the command, and send it a signal when there are so many predictions; its exit code."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdin=subprocess.PIPE if source is not None else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    if source is not None:
        assert process.stdin is not None
        process.stdin.write(source)
        process.stdin.flush()
    path = Path("predictions")
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= lines:
            process.send_signal(number)
            break
    if process.stdin is not None:
        process.wait(timeout=30)
        process.stdin.close()
    return process.wait(timeout=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_standard_input_goes_on_from_its_journal(number: signal.Signals) -> None:
    assert run_here("train", "records.jsonl", *RECORDS, "--out", "whole", *OUTPUTS).code == 0
    expected = outputs()[0]
    Path("predictions").unlink()
    half = DATA.index(b"\n", len(DATA) // 2) + 1
    words = ["train", "-", *RECORDS, "--out", "run", "--resume", *OUTPUTS]
    code = stop_at(words, number, DATA[:half], 500)
    assert code == (-9 if number == signal.SIGKILL else 128 + number)
    rest = subprocess.run([*COMMAND, *map(str, words)], input=DATA[half:], capture_output=True, check=False)
    assert rest.returncode == 0, rest.stderr
    found = [json.loads(line) for line in outputs()[0].splitlines()]
    assert found == [json.loads(line) for line in expected.splitlines()]


def test_a_log_goes_on_where_it_is(folder: Path) -> None:
    log, half = folder / "log", DATA.index(b"\n", len(DATA) // 2) + 1
    assert run_here("train", "records.jsonl", *RECORDS, "--out", "whole", *OUTPUTS).code == 0
    expected = outputs()[0]
    Path("predictions").unlink()
    log.write_bytes(DATA[: half + 20])  # half a line
    words = ["train", "tail:log", "--format", "jsonl", *RECORDS, "--out", "run", "--resume", *OUTPUTS]
    assert stop_at(words, signal.SIGTERM, None, 700) == 143
    log.rename("log.1")
    with Path("log.1").open("ab") as file:
        file.write(DATA[half + 20 : half + 2000])
    cut = DATA.index(b"\n", half + 2000) + 1
    with Path("log.1").open("ab") as file:
        file.write(DATA[half + 2000 : cut])
    log.write_bytes(DATA[cut:])
    assert stop_at(words, signal.SIGKILL, None, 1600) == -9
    assert stop_at(words, signal.SIGTERM, None, expected.count(b"\n")) == 143
    assert outputs()[0] == expected


def test_curves_go_on_and_are_missed_by_nobody_where_they_are_lost() -> None:
    def batches() -> list[float]:
        history = History()
        history.load(read_checkpoint("run/history.safetensors"))
        found: list[float] = history.batch.tolist()
        return found

    assert train("--steps", 30).code == 0
    assert batches() == [*range(1, 31)]
    assert train("--resume", "--steps", 40).code == 0
    assert batches() == [*range(1, 41)]
    assert train("--from-checkpoint", 30, "--steps", 35).code == 0
    assert batches() == [*range(1, 36)]
    Path("run/history.safetensors").write_bytes(b"junk")
    assert train("--resume", "--steps", 45).code == 0
    assert batches() == [*range(36, 46)]
