"""From rows of texts with labels to a classifier that is good at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.in_process import run_here

from recurrio.core import Adam, ArgumentError, CharVocabulary, CrossEntropyLoss, TextClassifier
from recurrio.pipeline import Classification, Trainer, read_table, train_epochs
from recurrio.pipeline.tasks.dev import every_tenth

GOOD, BAD, THINGS = ["great", "lovely", "fine"], ["awful", "dull", "broken"], ["it", "the film", "my phone", "this"]


def make_rows(count: int = 300) -> list[tuple[str, str]]:
    """Sentences of which one word, and whether there is a "not", say what they are."""
    rng, rows = np.random.default_rng(0), list[tuple[str, str]]()
    for _ in range(count):
        good, negated = bool(rng.integers(2)), bool(rng.integers(2))
        words = [str(rng.choice(THINGS)), "is", *["not"] * negated, str(rng.choice(GOOD if good else BAD)), "."]
        rows.append((" ".join(words), "good" if good != negated else "bad"))
    return rows


async def test_a_table_becomes_a_classifier(tmp_path: Path) -> None:
    lines = ["label\ttext", *(f"{label}\t{text}" for text, label in make_rows()), "broken row"]
    (tmp_path / "reviews.tsv").write_text("\n".join(lines), encoding="utf-8")
    table = read_table(tmp_path / "reviews.tsv", ("text", "label"))
    assert (len(table.rows), len(table.rejects)) == (300, 1)
    task = Classification(table.rows)
    assert task.vocabulary.kind == "words"
    assert task.classes == ("bad", "good")
    trainer = Trainer(task.model(embedding_size=8, hidden_size=16, seed=0), Adam(0.02), clip=1.0)
    best = await train_epochs(trainer, task.batches(16, epochs=12), task.score)
    assert best.score == task.score(trainer.model) > 0.95
    task.trained(trainer.model).save(tmp_path / "model.safetensors")
    found = TextClassifier.load(tmp_path / "model.safetensors").predict(["The film is not broken!", "it is dull"])
    assert [one.label for one in found] == ["good", "bad"]
    assert min(one.probability for one in found) > 0.5


def test_the_command_says_what_is_in_its_file(tmp_path: Path) -> None:
    task = Classification([("a b", "x"), ("a b", "y")], [("a b", "x")])
    task.trained(task.model(embedding_size=2, hidden_size=2, seed=0)).save(tmp_path / "model.safetensors")
    shown = run_here("inspect", tmp_path / "model.safetensors")
    assert shown.code == 0
    assert 'vocabulary: words, 3 symbols\nclasses:    "x", "y"\n' in shown.output


def test_every_tenth_row_is_kept_apart() -> None:
    rows = [(f"text {number}", "ab"[number % 2]) for number in range(1, 26)]
    given, dev = every_tenth(rows)
    assert dev == [("text 10", "a"), ("text 20", "a")]
    assert len(given) == 23
    task = Classification(rows)
    others = [*given, ("text 7 7 7", "a")]
    assert sum(batch.inputs.shape[1] for batch in Classification(others, rows).batches()) == len(others)
    assert sum(batch.inputs.shape[1] for batch in task.batches()) == 23


def test_what_is_not_said_otherwise() -> None:
    task = Classification(make_rows(40))
    config = task.model(seed=0).config
    names = ("cell", "hidden_size", "bidirectional", "output", "embedding_dropout", "output_dropout")
    assert [config[name] for name in names] == ["lstm", 96, True, "attention", 0.3, 0.3]
    assert config["loss"]["label_smoothing"] == 0.1
    config = task.model(output="last", bidirectional=False, loss=CrossEntropyLoss(), seed=0).config
    assert [config[name] for name in names[2:4]] == [False, "last"]
    assert config["loss"]["label_smoothing"] == 0


def test_names_are_read_by_characters_unless_words_are_asked_for() -> None:
    rows = [("Rossi", "it"), ("Weber", "de")] * 6
    task = Classification(rows)
    assert isinstance(task.vocabulary, CharVocabulary)
    assert Classification(rows, symbols="words").vocabulary.kind == "words"
    with pytest.raises(ArgumentError, match="symbols: expected one of chars, bytes, words, subwords, got 'letters'"):
        Classification(rows, symbols="letters")


def test_the_naive_answer_is_the_commonest_class_of_the_rows_to_be_trained_on() -> None:
    task = Classification([("a", "x"), ("b", "y"), ("c", "y")], [("a", "y"), ("b", "x"), ("c", "x"), ("d", "z")])
    assert (task.naive, task.dev_rows) == (0.25, 4)
    assert task.about == "chars, 4 symbols, 2 classes, 3 rows"


def test_a_class_that_is_nowhere_but_in_dev_is_never_right() -> None:
    task = Classification([("a b", "x"), ("c d", "y")], [("a b", "z"), ("q", "z")])
    assert task.classes == ("x", "y")
    assert task.score(task.model(embedding_size=2, hidden_size=2, seed=0)) == 0


@pytest.mark.parametrize(
    ("rows", "dev", "says"),
    [
        ([("a", "x"), ("b", "y")], None, "rows: expected at least 10, of which every tenth is not trained on, got 2"),
        ([("a", "x")] * 20, None, "rows: expected two classes at least, .*, got 1 in 18 rows, and 2 rows"),
        ([("a", "x"), ("b", "y")], [], "one row to score them by, got 2 in 2 rows, and 0 rows"),
    ],
)
def test_too_little_to_learn_from(rows: list[tuple[str, str]], dev: list[tuple[str, str]] | None, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        Classification(rows, dev)
