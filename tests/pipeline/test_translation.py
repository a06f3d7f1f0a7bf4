"""From pairs of sentences to a translator that is good at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.in_process import run_here

from recurrio.core import Adam, ArgumentError, Translator
from recurrio.core.seq2seq import Translated
from recurrio.pipeline import Trainer, Translation, read_table, train_epochs

WHO = {"i see": "je vois", "she has": "elle a", "we want": "nous voulons"}
WHAT = {"a cat": "un chat", "a house": "une maison", "water": "de l'eau", "bread": "du pain"}
HOW = {"big": "grand", "red": "rouge", "good": "bon"}


def make_rows(count: int = 400) -> list[tuple[str, str]]:
    """Sentences whose adjective stands at another place, with one mark or another."""
    rng, rows = np.random.default_rng(0), list[tuple[str, str]]()
    for _ in range(count):
        who, what, how = (str(rng.choice(list(words))) for words in (WHO, WHAT, HOW))
        mark = "!" if rng.integers(2) else "."
        rows.append((f"{who} {how} {what}{mark}", f"{WHO[who].capitalize()} {WHAT[what]} {HOW[how]}{mark}"))
    return rows


async def test_a_table_becomes_a_translator(tmp_path: Path) -> None:
    lines = ["en\tfr", *map("\t".join, make_rows()), "broken row"]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines), encoding="utf-8")
    table = read_table(tmp_path / "pairs.tsv", ("en", "fr"))
    assert (len(table.rows), len(table.rejects)) == (400, 1)
    task = Translation(table.rows)
    assert (task.source.kind, task.target.kind, task.limit) == ("words", "words", 8)
    trainer = Trainer(task.model(embedding_size=16, hidden_size=24, seed=0), Adam(0.02), clip=1.0)
    before = task.score(trainer.model)
    best = await train_epochs(trainer, task.batches(32, epochs=12), task.score)
    assert best.score == task.score(trainer.model) > 95 > before
    task.trained(trainer.model).save(tmp_path / "model.safetensors")
    translator = Translator.load(tmp_path / "model.safetensors")
    texts = ["She has good water!", "I see red bread."]
    for beam in (1, 3):
        found = translator.translate(texts, beam)
        assert [each.text for each in found] == ["elle a de l'eau bon!", "je vois du pain rouge."]
        assert all(-0.5 < each.score < 0 for each in found)
    assert task.score(translator.model) == best.score


def test_the_command_says_what_is_in_its_file(tmp_path: Path) -> None:
    task = Translation([("a b", "x")] * 3, [("a b", "x")])
    task.trained(task.model(embedding_size=2, hidden_size=2, seed=0)).save(tmp_path / "model.safetensors")
    shown = run_here("inspect", tmp_path / "model.safetensors")
    assert shown.code == 0
    assert "source:     words, 3 symbols\ntarget:     chars, 2 symbols\n" in shown.output


def test_what_is_not_said_otherwise() -> None:
    task = Translation(make_rows(40), symbols="chars")
    assert (task.source.kind, task.target.kind) == ("chars", "chars")
    config = task.model(seed=0).config
    shown = {name: config[name] for name in ("cell", "embedding_size", "hidden_size", "attention")}
    assert shown == {"cell": "gru", "embedding_size": 96, "hidden_size": 192, "attention": "dot"}
    assert task.model(bidirectional=True, seed=0).config["attention"] == "general"
    assert task.model(attention=None, seed=0).config["attention"] is None
    assert sum(batch.inputs.shape[1] for batch in task.batches()) == 36
    with pytest.raises(ArgumentError, match="symbols: expected one of chars, bytes, words, subwords, got 'letters'"):
        Translation(make_rows(40), symbols="letters")


def test_targets_end_and_the_longest_is_the_limit() -> None:
    task = Translation([("a b", "x y z"), ("a b", "x y z"), ("b", "x y")], [("a b", "x y z")])
    (batch,) = task.batches()
    assert batch.inputs.shape == (2, 3)
    targets = sorted(batch.targets.T.tolist())
    x, y, z = (int(task.target.encode(word)[0]) for word in "xyz")
    assert targets == sorted([[x, y, z, 4], [x, y, z, 4], [x, y, 4, -100]])
    model = task.model(embedding_size=2, hidden_size=2, seed=0)
    assert task.trained(model).limit == task.limit == 4


def test_the_score_is_of_the_words_that_were_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Translation([("a b", "w x y z")] * 2, [("a b", "W, x y Z"), ("a b", "w x y z new")])
    model = task.model(embedding_size=2, hidden_size=2, seed=0)
    written = ["w, x y z", "w x y z \ufffd"]  # a word that there is none of is wrong
    monkeypatch.setattr(Translator, "translate", lambda *_: [Translated(text, 0.0) for text in written])
    runs = [(9, 10), (7, 8), (5, 6), (3, 4)]
    assert task.score(model) == pytest.approx(100 * np.prod([right / all_ for right, all_ in runs]) ** 0.25)


@pytest.mark.parametrize(
    ("rows", "dev", "says"),
    [
        ([("a", "x"), ("b", "y")], None, "rows: expected at least 10, of which every tenth is not trained on, got 2"),
        ([("a", "x")], [], "rows: expected one row to be trained on, and one to score them by, got 1 and 0"),
        ([], [("a", "x")], "got 0 and 1"),
    ],
)
def test_too_little_to_learn_from(rows: list[tuple[str, str]], dev: list[tuple[str, str]] | None, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        Translation(rows, dev)
