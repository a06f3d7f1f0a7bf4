"""What the command says where something else happens than was asked for, and how it reads its options."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recurrio.core import load_weights, save_weights
from recurrio.pipeline.command.options import parse

SMALL = ["--hidden", "16", "--embedding", "8", "--batch-size", "4", "--seq-len", "16"]
Recurrio = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[bytes]]


def test_a_run_that_ends_worse_than_it_began_says_so(recurrio: Recurrio, text_file: Path, tmp_path: Path) -> None:
    words = ["train", text_file, *SMALL, "--optimizer", "sgd", "--lr", 1e4, "--steps", 60, "--out", tmp_path / "out"]
    done = recurrio(*words)
    assert done.returncode == 0
    said = r"done, but worse than it began \(loss \d\.\d{4} at first; a smaller --lr may help\): 60 steps"
    assert re.match(said, done.stdout.splitlines()[-1])


def test_a_run_that_ends_better_does_not(recurrio: Recurrio, text_file: Path, tmp_path: Path) -> None:
    done = recurrio("train", text_file, *SMALL, "--steps", 60, "--out", tmp_path / "out")
    assert done.stdout.splitlines()[-1].startswith("done: 60 steps, loss ")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_generate_from_a_model_that_is_not_finite(
    value: float, recurrio: Recurrio, text_file: Path, tmp_path: Path
) -> None:
    recurrio("train", text_file, *SMALL, "--steps", 1, "--out", tmp_path / "out")
    path = tmp_path / "out" / "model.safetensors"
    weights, metadata = load_weights(path)
    save_weights(path, {name: np.full_like(array, value) for name, array in weights.items()}, metadata)
    done = recurrio("generate", path, "--length", 9)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "not finite" in done.stderr


def test_fewer_batches_than_steps(recurrio: Recurrio, tmp_path: Path) -> None:
    words = ["train", "-", *SMALL, "--out", tmp_path / "out", "--steps"]
    done = recurrio(*words, 1000, text="to be or not to be, that is the question. " * 50)
    assert done.returncode == 0
    assert "32 steps" in done.stdout
    assert "; the source ended before --steps 1,000; " in done.stdout
    done = recurrio(*words, 32, "--overwrite", text="to be or not to be, that is the question. " * 50)
    assert "the source ended" not in done.stdout


def test_a_source_that_takes_its_time_is_named(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    process = start("train", tmp_path / "pipe", *SMALL, "--steps", 1, "--out", tmp_path / "out")
    line = process.stdout.readline().decode()
    assert line == f"reading {tmp_path / 'pipe'}: the first batch is not there yet\n"
    (tmp_path / "pipe").write_text("to be or not to be, that is the question. " * 50)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"not there yet" not in output


def test_a_source_that_does_not_is_not(start: Start, text_file: Path, tmp_path: Path) -> None:
    process = start("train", text_file, *SMALL, "--steps", 1000000, "--out", tmp_path / "out")
    for line in (b"lstm ", b"executor: ", b"step "):
        assert process.stdout.readline().startswith(line)
    time.sleep(1.2)
    process.terminate()
    assert b"not there yet" not in process.communicate(timeout=30)[0]


def test_a_prompt_with_characters_that_the_model_does_not_know(
    recurrio: Recurrio, text_file: Path, tmp_path: Path
) -> None:
    recurrio("train", text_file, *SMALL, "--steps", 1, "--out", tmp_path / "out")
    done = recurrio("generate", tmp_path / "out", "--prompt", "ÄÖ over Ä", "--length", 9)
    assert done.returncode == 0
    assert len(done.stdout) == len("ÄÖ over Ä") + 9 + 1
    assert done.stderr == (
        "recurrio: --prompt: the model does not know 'ÄÖ', and reads its symbol for unknown characters\n"
    )
    assert recurrio("generate", tmp_path / "out", "--prompt", "over", "--length", 9).stderr == ""


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["generate", "run", "--prompt", "-hello"], "prompt", "-hello"),
        (["generate", "--prompt", "- a list", "run"], "prompt", "- a list"),
        (["generate", "run", "--prompt=-hello"], "prompt", "-hello"),
        (["train", "text", "--out", "-x"], "out", "-x"),
        (["train", "--trace", "-x", "text"], "trace", "-x"),
        *((["generate", "run", "--temperature", zero], "temperature", 0) for zero in ("0", "0.0", "0.00", "0e5", "-0")),
        (["train", "text", "--clip", "none"], "clip", None),
    ],
)
def test_options_are_read_as_they_are_meant(words: list[str], name: str, value: object) -> None:
    assert getattr(parse(words), name) == value


@pytest.mark.parametrize(
    "words",
    [
        ["generate", "run", "--prompt"],
        ["generate", "run", "--prompt", "--"],
        ["generate", "run", "--prompt", "--length", "5"],
        ["generate", "run", "--temperature", "-1"],
        ["generate", "run", "--temperature", "nan"],
        ["train", "text", "--hello"],
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


WITHOUT_DEFAULT = {
    *("--overwrite", "--json", "--trace", "--timeline", "--config", "--reports", "--predictions", "--rejects"),
    *(
        "--features",
        "--target",
        "--label",
        "--key",
        "--time",
        "--per-key",
        "--max-gap",
        "--allow-remote",
        "--send",
    ),
    *("--missing", "--time-format", "--columns", "--dtype", "--resume", "--from-checkpoint", "--init"),
    "--allow-gap",
    "--task",
}


def test_help_is_in_groups_and_shows_each_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        parse(["train", "--help"])
    shown = capsys.readouterr().out
    groups = "data, text, tasks, records, forecasts of records, labels that come later, how records are written"
    groups += ", live sources, model, training, machine, checkpoints, output"
    assert re.findall(r"^(\w[\w ]+):$", shown, re.MULTILINE) == ["options", *groups.split(", ")]
    found = re.findall(r"^  (--\S+)((?:.*\n)(?:    .*\n)*)", shown, re.MULTILINE)
    assert len(found) > 20
    for option, text in found:
        has_none = option in WITHOUT_DEFAULT
        assert has_none or re.search(r"\(.+\)$", text.strip()), option
