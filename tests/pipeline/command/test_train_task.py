"""`recurrio train --task classify`: from a table to the best of its epochs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from support.in_process import Done, parsed, run_here

from recurrio.core import Adam, TextClassifier, load_weights
from recurrio.pipeline import Classification, Trainer, read_table, train_epochs
from recurrio.pipeline.checkpoint import CheckpointStore
from recurrio.pipeline.tasks import TASKS

GOOD, BAD, THINGS = ["great", "lovely", "fine"], ["awful", "dull", "broken"], ["it", "the film", "my phone", "this"]
SMALL: list[object] = ["--hidden", 6, "--embedding", 5, "--batch-size", 16, "--lr", 0.02, "--executor", "inline"]


def make_rows(count: int = 200) -> list[tuple[str, str]]:
    """Sentences of which one word, and whether there is a "not", say what they are."""
    rng, rows = np.random.default_rng(0), list[tuple[str, str]]()
    for _ in range(count):
        good, negated = bool(rng.integers(2)), bool(rng.integers(2))
        words = [str(rng.choice(THINGS)), "is", *["not"] * negated, str(rng.choice(GOOD if good else BAD)), "."]
        rows.append((" ".join(words), "good" if good != negated else "bad"))
    return rows


def write(path: Path, rows: list[tuple[str, str]], header: str = "label\ttext") -> None:
    path.write_text("\n".join([header, *(f"{label}\t{text}" for text, label in rows)]) + "\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "reviews.tsv", make_rows())
    return tmp_path


def train(*words: object, source: str = "reviews.tsv", out: str = "out") -> Done:
    return run_here("train", "--task", "classify", source, *SMALL, "--out", out, *words)


def training(out: str = "out") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(load_weights(Path(out) / "model.safetensors")[1]["training"])
    return told


def test_it_says_each_epoch_beside_the_majority_and_keeps_the_best() -> None:
    done = train("--epochs", 5)
    assert (done.code, done.errors) == (0, "")
    lines = done.output.splitlines()
    dev = [row for number, row in enumerate(make_rows(), 1) if number % 10 == 0]
    given = [row for number, row in enumerate(make_rows(), 1) if number % 10]
    majority = max(("bad", "good"), key=lambda one: sum(label == one for _, label in given))
    form = r"^epoch (\d): loss (\d\.\d{4}), accuracy (\S+) on 20 rows \(majority (\S+)\)$"
    found = re.findall(form, done.output, re.MULTILINE)
    assert [one[0] for one in found] == ["1", "2", "3", "4", "5"]
    assert float(found[0][1]) > float(found[-1][1])
    scores = [float(one[2]) for one in found]
    best = scores.index(max(scores))
    assert re.fullmatch(r"lstm 1×6, [\d,]+ parameters; words, 16 symbols, 2 classes, 180 rows; batches of 16", lines[0])
    end = f"done: 5 epochs; the best is epoch {best + 1}: accuracy {max(scores):.3f} on 20 rows"
    assert lines[-1].startswith(end)
    assert lines[-1].endswith("wrote out/model.safetensors")
    told = training()
    assert (told["epoch"], told["scores"]) == (best + 1, pytest.approx(scores, abs=1e-3))
    kept = TextClassifier.load("out/model.safetensors").predict([text for text, _ in dev])
    assert np.mean([one.label == label for one, (_, label) in zip(kept, dev, strict=True)]) == told["score"]
    assert float(found[0][3]) == pytest.approx(sum(label == majority for _, label in dev) / 20, abs=1e-3)


def test_it_is_what_the_library_makes() -> None:
    train("--epochs", 3, "--seed", 4, "--delay", 1)
    task = Classification(read_table("reviews.tsv", ("text", "label")).rows)
    model = task.model(embedding_size=5, hidden_size=6, seed=4)
    trainer = Trainer(model, Adam(0.02), clip=1.0, seed=4, delay=1, executor="inline")
    trio.run(train_epochs, trainer, task.batches(16, epochs=3, seed=4), task.score)
    kept = TextClassifier.load("out/model.safetensors").model
    assert kept.parameters.tobytes() == model.parameters.tobytes()


def test_json_has_a_report_an_epoch() -> None:
    done = train("--epochs", 8, "--json", "--reports", "reports")
    first, second, *_, last = parsed(done.output)
    assert (first["epoch"], second["epoch"], second["step"]) == (1, 2, 24)
    assert second["metrics"]["dev"].keys() == {"count", "accuracy", "naive_accuracy"}
    assert second["metrics"]["dev"]["count"] == 20
    assert second["best_epoch"] in (1, 2)
    assert 0 < last["loss"] < first["loss"]
    assert parsed(Path("reports")) == parsed(done.output)
    assert "epoch 2: loss" in done.errors


def test_quiet_says_nothing_but_warnings() -> None:
    with Path("reviews.tsv").open("a") as file:
        file.write("a row of one column\ngood\t \n")
    done = train("--epochs", 1, "--quiet", "--rejects", "rejects")
    assert done.output == ""
    rejects = parsed(Path("rejects"))
    assert [(one["line"], one["reason"]) for one in rejects] == [
        (202, "expected 2 columns, got 1"),
        (203, "text is missing"),
    ]
    assert len(done.errors.splitlines()) == 2
    again = train("--epochs", 1, "--overwrite")
    assert "; 2 rows were rejected; wrote" in again.output


@pytest.mark.parametrize("every", [5, 12])
@pytest.mark.parametrize("back", [False, True])
def test_a_run_goes_on_to_the_same_bits(every: int, *, back: bool) -> None:
    train("--epochs", 4, "--reports", "one", out="whole")
    often = ["--checkpoint-every", every, "--keep", 9, "--reports", "two"]
    train("--epochs", 2, *often)
    first = CheckpointStore("out/checkpoints").steps()[0]
    done = train("--epochs", 4, *often, *(["--from-checkpoint", first] if back else ["--resume"]))
    assert f"going on from step {first if back else 24}" in done.output
    assert Path("out/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    one, two = [[{**report, "timing": None} for report in parsed(Path(name))] for name in ("one", "two")]
    assert one == two


def test_a_run_without_checkpoints_has_the_same_bits() -> None:
    train("--epochs", 2, out="whole")
    train("--epochs", 2, "--checkpoint-every", "none")
    assert Path("out/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_a_part_of_an_epoch_is_no_best_one_to_go_on_from(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    write(Path("reviews.tsv"), make_rows(5000))
    process = start("train", "--task", "classify", "reviews.tsv", *SMALL, "--epochs", 1, "--out", "out")
    assert process.stdout is not None
    while not process.stdout.readline().startswith(b"executor"):
        pass
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")
    assert b"interrupted: 1 epochs; the best is epoch 1: accuracy " in output or b"nothing was written" in output
    train("--epochs", 1, "--resume")
    train("--epochs", 1, out="whole")
    assert Path("out/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_a_run_that_is_at_its_end_goes_on_with_nothing() -> None:
    train("--epochs", 2)
    before = Path("out/model.safetensors").read_bytes()
    done = train("--epochs", 2, "--resume")
    assert done.code == 0
    assert "done: 2 epochs; the best is epoch " in done.output
    assert Path("out/model.safetensors").read_bytes() == before


def test_rows_that_have_changed_are_not_gone_on_with() -> None:
    train("--epochs", 1)
    write(Path("reviews.tsv"), [("the film is odd .", "bad"), *make_rows()[1:]])
    done = train("--epochs", 2, "--resume")
    assert done.code != 0
    assert "rows to be trained on are not those" in done.errors


def test_an_interrupt_keeps_the_best_epoch_so_far(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start("train", "--task", "classify", "reviews.tsv", *SMALL, "--epochs", 100000, "--out", "out")
    assert process.stdout is not None
    while not process.stdout.readline().startswith(b"epoch 2"):
        pass
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")
    last = output.decode().splitlines()[-1]
    assert re.match(r"interrupted: \d+ epochs; the best is epoch \d+: accuracy ", last)
    told = training()
    assert told["score"] == max(told["scores"])
    assert f"the best is epoch {told['epoch']}:" in last


def test_columns_by_number_dev_and_csv() -> None:
    rows = [f'{label},"{text}, really"' for text, label in make_rows()]
    Path("plain.csv").write_text("\n".join(rows))
    Path("dev.csv").write_text("\n".join(rows[:30]))
    done = train("--text", 2, "--label", 1, "--dev", "dev.csv", "--epochs", 2, source="plain.csv")
    assert done.code == 0, done.errors
    assert " 200 rows; " in done.output
    assert "on 30 rows" in done.output
    assert training()["task"]["columns"] == {"text": 2, "label": 1}


def test_a_task_has_one_source() -> None:
    done = run_here("train", "--task", "classify", "reviews.tsv", "more.tsv")
    assert (done.code, done.errors) == (2, "recurrio: SOURCE: expected one, of a task, got 2\n")


def test_names_are_characters_where_nobody_says() -> None:
    write(Path("names.tsv"), [(name, "ab"[name.startswith("A")]) for name in ("Anna", "Bert", "Adam", "Cem") * 6])
    assert "; chars, " in train("--epochs", 1, source="names.tsv").output
    assert "; words, " in train("--epochs", 1, "--symbols", "words", "--overwrite", source="names.tsv").output


def test_the_run_can_be_verified() -> None:
    train("--epochs", 2, "--checkpoint-every", 7, "--keep", 9, "--delay", 1)
    done = run_here("verify", "out")
    assert done.code == 0, done.errors
    assert {line.split(": ")[1] for line in done.output.splitlines()} == {"largest difference 0"}
    batch = json.loads(run_here("replay", "out", "--step", 9).output)
    assert (batch["step"], len(batch["lanes"])) == (9, 16)
    assert batch["lanes"][0].keys() == {"inputs", "targets"}


def test_a_further_task_is_a_further_row(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"from": "of the one", "to": "of the other"}
    monkeypatch.setitem(TASKS, "turn", replace(TASKS["classify"], columns=columns, measure="BLEU", naive="copied"))
    write(Path("pairs.tsv"), make_rows(), header="de\ten")
    done = run_here("train", "--task", "turn", "pairs.tsv", "--from", "en", "--to", "de", *SMALL, "--epochs", 1)
    assert done.code == 0, done.errors
    assert re.search(r"BLEU \S+ on 20 rows \(copied ", done.output)
    assert '"from": "en"' in load_weights("run/model.safetensors")[1]["training"]
    done = train("--from", "en")
    assert (done.code, "--from: is not for --task classify" in done.errors) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--text", "review"], "reviews.tsv: no column review; the columns are: label, text"),
        (["--text", 3, "--label", 1], "reviews.tsv: no column 3; the first row has 2"),
        (["--text", 2], "--text 2, --label label: expected all by name, or all by number"),
        (["--text", "label"], "--text and --label: expected different columns, got label twice"),
        (["--features", "a"], "--features: is not for --task classify"),
        (["--seq-len", 9], "--seq-len: is not for --task classify"),
        (["--steps", 9], "--steps: is not for --task classify"),
        (["--init", "run"], "--init: is not for --task classify"),
        (["--vocabulary", "bytes"], "--vocabulary: is not for --task classify"),
        (["--predictions", "p"], "--predictions: is not for --task classify"),
        (["--format", "jsonl"], "reviews.tsv: expected a table"),
        (["--dev", "none.tsv"], "none.tsv: No such file"),
        (["--dev", "none"], "none: No such file"),
        (["--symbols", "syllables"], "--symbols: invalid choice"),
    ],
)
def test_what_is_asked_for_and_cannot_be(words: list[object], said: str) -> None:
    done = train(*words)
    assert done.code in (1, 2)
    assert said in done.errors
    assert len(done.errors.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("label\ttext\n", "rows: expected at least 10, of which every tenth is not trained on, got 0"),
        ("label\ttext\n" + "good\tfine\n" * 20, "rows: expected two classes at least"),
        ("kind\ttext\n" + "good\tfine\n" * 20, "no column label; the columns are: kind, text"),
    ],
)
def test_files_that_nothing_can_be_learned_of(text: str, said: str) -> None:
    Path("broken.tsv").write_text(text)
    done = train(source="broken.tsv")
    assert done.code in (1, 2)
    assert said in done.errors
    assert len(done.errors.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize("option", ["--text", "--symbols", "--dev"])
def test_options_of_tasks_want_a_task(option: str) -> None:
    done = run_here("train", "reviews.tsv", option, "words")
    assert (done.code, done.errors) == (2, f"recurrio: {option}: is for rows of a file, and --task says what for\n")


def test_a_trace_says_who_computed_what() -> None:
    assert train("--epochs", 1, "--trace", "trace.json").code == 0
    assert json.loads(Path("trace.json").read_text())
