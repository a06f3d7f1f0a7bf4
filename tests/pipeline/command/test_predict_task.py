"""`recurrio predict` with a model that was trained for a task: a line for each row, in order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.in_process import parsed, run_here

from recurrio.core import TextClassifier, load_weights, save_weights

TEXTS = ["it is great", "so it is dull", "great , great", "no"]
Recurrio = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = ["good\tit is great\tx", "bad\tit is dull\ty"] * 10
    (tmp_path / "reviews.tsv").write_text("\n".join(["label\tsaid\tby", *rows]))
    (tmp_path / "plain.tsv").write_text("\n".join(rows))
    return tmp_path


def train(source: str = "reviews.tsv", text: object = "said", label: object = "label") -> TextClassifier:
    words: list[object] = ["--task", "classify", "--text", text, "--label", label, "--epochs", 1, "--hidden", 3]
    done = run_here("train", source, *words, "--executor", "inline", "--out", "out")
    assert done.code == 0, done.errors
    return TextClassifier.load("out/model.safetensors")


def expected(model: TextClassifier, texts: list[str]) -> list[object]:
    """To rounding: texts that are read at once are one product, and its last bits may depend on how many they are."""
    return [pytest.approx({"prediction": one.label, "probability": one.probability}) for one in model.predict(texts)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("same.tsv", "label\tsaid\n" + "".join(f"?\t{text}\n" for text in TEXTS)),
        ("without.tsv", "by\tsaid\n" + "".join(f"x\t{text}\n" for text in TEXTS)),
        ("unlabelled.tsv", "label\tsaid\n" + "".join(f"\t{text}\n" for text in TEXTS)),
        ("one.tsv", "said\n" + "\n".join(TEXTS)),
        ("plain.tsv", "\n".join(TEXTS)),
        ("plain.csv", "\n".join(f'"{text}"' for text in TEXTS)),
    ],
)
def test_the_columns_that_the_training_named_or_one_alone(name: str, text: str) -> None:
    model = train()
    Path(name).write_text(text)
    done = run_here("predict", "out", name)
    assert (done.code, done.errors) == (0, "")
    assert parsed(done.output) == expected(model, TEXTS)


def test_columns_by_number() -> None:
    model = train("plain.tsv", 2, 1)
    for text in ("\n".join(TEXTS), "\n".join(f"\t{text}\tz" for text in TEXTS)):
        Path("new.tsv").write_text(text)
        assert parsed(run_here("predict", "out", "new.tsv").output) == expected(model, TEXTS)


def test_a_row_that_cannot_be_used_has_its_line(recurrio: Recurrio) -> None:
    model = train()
    text = "label\tsaid\n?\tno\nbroken\n?\t \n?\tit is great\n?\t\n"
    done = recurrio("predict", "out", "-", "--rejects", "rejects", text=text)
    assert done.returncode == 0
    first, second, third, fourth, fifth = map(json.loads, done.stdout.splitlines())
    assert [first, fourth] == expected(model, ["no", "it is great"])
    nothing = {"prediction": None, "probability": None}
    assert second == {**nothing, "reason": "expected 2 columns, got 1"}
    assert third == fifth == {**nothing, "reason": "said is missing"}
    assert [one["line"] for one in parsed(Path("rejects"))] == [3, 4, 6]
    assert done.stderr == ("recurrio: warning: 3 rows were rejected: 1 × expected 2 columns, 2 × said is missing\n")


def test_rows_are_answered_as_they_come(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    train()
    process = start("predict", "out", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for text in TEXTS:
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["prediction"] in ("good", "bad")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, b"", b"")


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("a\tb\nx\ty\n", [], "new.tsv: no column said; the columns are: a, b"),
        ("", [], "new.tsv: is empty"),
        ("said\nx\n", ["--decimal", ","], "--decimal: is for records, and this model was trained for a task"),
        ("said\nx\n", ["--format", "jsonl"], "new.tsv: expected a table"),
        (None, [], "new.tsv: No such file"),
    ],
)
def test_what_is_no_table_of_these(text: str | None, words: list[str], said: str) -> None:
    train()
    if text is not None:
        Path("new.tsv").write_text(text)
    done = run_here("predict", "out", "new.tsv", *words)
    assert done.code in (1, 2)
    assert done.output == ""
    assert said in done.errors
    assert len(done.errors.splitlines()) == 1


def test_weights_that_are_not_finite() -> None:
    train()
    weights, metadata = load_weights("out/model.safetensors")
    save_weights("bad.safetensors", {name: np.full_like(array, np.nan) for name, array in weights.items()}, metadata)
    done = run_here("predict", "bad.safetensors", "reviews.tsv")
    assert (done.code, "not finite" in done.errors) == (1, True)


def test_a_classifier_that_no_command_has_trained() -> None:
    model = train()
    model.save("own.safetensors")
    Path("new.tsv").write_text("text\n" + "\n".join(TEXTS))
    assert parsed(run_here("predict", "own.safetensors", "new.tsv").output) == expected(model, TEXTS)


def test_inspect_says_what_it_is_for_and_others_say_no() -> None:
    train()
    shown = run_here("inspect", "out")
    assert shown.code == 0
    assert 'task:       classify: text is column "said", label is column "label"\n' in shown.output
    assert "best epoch: 1 of 1, accuracy " in shown.output
    for words in (["generate", "out"], ["export", "out", "model.onnx"]):
        done = run_here(*words)
        assert done.code == 1
        assert len(done.errors.splitlines()) == 1
