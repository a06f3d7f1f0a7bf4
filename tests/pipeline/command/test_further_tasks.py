"""`recurrio train --task translate` and `transcribe`, and `predict` with what they make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.in_process import Done, parsed, run_here
from support.wav import wav_file

WORDS = {"a": "un", "red": "rouge", "good": "bon", "cat": "chat", "house": "toit"}
PITCHES = {"a": 300, "b": 1900}  # Hz
SMALL: list[object] = ["--executor", "inline", "--hidden", 12, "--batch-size", 8, "--lr", 0.03, "--out", "out"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(task: str, source: str, *words: object) -> Done:
    done = run_here("train", "--task", task, source, *SMALL, *words)
    assert done.code == 0, done.errors
    return done


def test_pairs_of_sentences() -> None:
    rng, rows = np.random.default_rng(0), list[str]()
    for _ in range(120):
        words = [str(word) for word in rng.choice(list(WORDS), rng.integers(2, 5))]
        rows.append(f"{' '.join(WORDS[word] for word in words)}\t{' '.join(words)}")
    Path("pairs.tsv").write_text("\n".join(["fr\ten", *rows, "broken"]))
    words = ["--from", "en", "--to", "fr", "--embedding", 8, "--epochs", 12]
    done = train("translate", "pairs.tsv", *words)
    assert "words, 6 symbols to words, 6 symbols, 108 rows; batches of 8" in done.output
    assert "epoch 1: loss " in done.output
    assert " on 12 rows (copied 0.000)" in done.output
    model = Path("out/model.safetensors").read_bytes()
    Path("new.tsv").write_text("en\tof\na cat\tx\nbroken\nred house\ty\n")
    said = parsed(run_here("predict", "out", "new.tsv").output)
    assert said == [
        {"prediction": "un chat"},
        {"prediction": None, "reason": "expected 2 columns, got 1"},
        {"prediction": "rouge toit"},
    ]
    shown = run_here("inspect", "out")
    assert 'task:       translate: from is column "en", to is column "fr"\n' in shown.output
    train("translate", "pairs.tsv", *words[:-1], 5, "--overwrite", "--checkpoint-every", 20, "--keep", 9)
    checked = run_here("verify", "out")
    assert (checked.code, "largest difference 0\n" in checked.output) == (0, True), checked.errors
    train("translate", "pairs.tsv", *words, "--resume")
    assert Path("out/model.safetensors").read_bytes() == model


def test_a_folder_of_recordings() -> None:
    pytest.importorskip("soundfile", reason="WAV files are read by soundfile", exc_type=ImportError)
    rng = np.random.default_rng(0)
    Path("said").mkdir()
    for number in range(60):
        label = "ab"[number % 2]
        tone = np.sin(2 * np.pi * PITCHES[label] * np.arange(int(rng.integers(480, 800))) / 8000)
        sound = np.concatenate([np.zeros(400), tone * rng.uniform(0.2, 0.6), np.zeros(400)])
        sound += rng.standard_normal(len(sound)) * 0.003
        Path(f"said/{label}_{number:02}.wav").write_bytes(wav_file(sound.astype(np.float32)))
    Path("said/c_broken.wav").write_bytes(b"RIFF")
    done = train("transcribe", "said", "--epochs", 12, "--rejects", "rejects")
    assert "; chars, 3 symbols, 54 recordings; batches of 8" in done.output
    assert "accuracy 1.000 on 6 rows (silence 0.000); 1 rows were rejected; wrote out" in done.output
    (reject,) = parsed(Path("rejects"))
    assert reject["source"].endswith("c_broken.wav")
    lines = parsed(run_here("predict", "out", "said").output)
    assert [line["prediction"] for line in lines] == [*"a" * 30, *"b" * 30, None]
    assert run_here("verify", "out").errors.count("\n") == 1
    done = run_here("train", "--task", "transcribe", "said", "--text", "x")
    assert (done.code, done.errors) == (2, "recurrio: --text: is not for --task transcribe\n")
