"""What `make accuracy` prints of tasks; and that the networks of PyTorch beside them are the same ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from recurrio.core import CrossEntropyLoss, CTCLoss, EncoderDecoder, SequenceBatch, SequenceModel
from recurrio.pipeline import Classification, RaggedBatches, Translation

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FILES = 7


def lines_of(folder: Path, code: int, *options: str) -> list[str]:
    command = [sys.executable, BENCHMARKS / "accuracy_tasks.py", folder, "--seeds", "1", "--jobs", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout.splitlines()


def write_table(path: Path, header: str, rows: list[tuple[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *map("\t".join, rows), ""]))


def test_an_empty_folder_says_what_is_to_be_there(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, 1)
    assert len(lines) == FILES
    assert all(line.startswith("not there: ") for line in lines)
    assert any("intents.tsv with text,intent; from 7,000 requests, https://" in line for line in lines)


def test_only_the_rows_that_are_asked_for_want_a_file(tmp_path: Path) -> None:
    write_table(tmp_path / "intents.tsv", "text\tclass", [("play it", "Play")])  # another column
    (line,) = lines_of(tmp_path, 1, "--only", "intents")
    assert line.startswith("not there: intents.tsv")


def test_a_row_has_a_line(tmp_path: Path) -> None:
    """A class is said by one word among others; PyTorch stands in it too where it is installed."""
    rng = np.random.default_rng(0)
    words = np.array([*"abcdefgh"])
    rows = []
    for number in range(400):
        said = [*rng.choice(words, 4), "up" if number % 3 else "down"]
        rows.append((" ".join(rng.permutation(said)), "Rise" if number % 3 else "Fall"))
    write_table(tmp_path / "below" / "intents.tsv", "text\tintent", rows)
    *above, header, line = lines_of(tmp_path, 0, "--only", "intents")
    assert header.split()[:4] == ["row", "measure", "naive", "ours"]
    name, measure, majority, bayes, *scores = line.split()
    assert (name, measure) == ("intents", "accuracy")
    assert 0.6 < float(majority) < 0.7
    assert float(bayes) == float(scores[0]) == 1
    if above:
        assert above == ["PyTorch is not installed: pip install torch, or make .venv/.bench"]
    else:
        assert scores == ["1.000", "(1.000–1.000)"] * 3


def test_a_translation_has_a_line(tmp_path: Path) -> None:
    rows = [(f"a{number % 4} b{number % 3}", f"b{number % 3} the a{number % 4} .") for number in range(400)]
    write_table(tmp_path / "en-fr-be.tsv", "en\tfr", rows)
    *_, line = lines_of(tmp_path, 0, "--only", "en-fr-be")
    name, measure, copied, ours, *_ = line.split()
    assert (name, measure) == ("en-fr-be", "BLEU")
    assert 0 <= float(copied) < 20 < float(ours)


@pytest.fixture
def torch_tasks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import torch_tasks

    return torch_tasks


def loss_of(net: Any, batch: SequenceBatch, *, packed: bool = True) -> float:  # noqa: ANN401 (a module)
    net.packed = packed
    return net.loss(batch).item()


TEXTS = [("a b c d", "x y"), ("b", "y"), ("c a", "x x"), ("d d a", "y x"), ("a", "x")] * 4
RECIPE = {"cell": "lstm", "hidden_size": 5, "embedding_size": 4}


@pytest.mark.parametrize("output", ["last", "mean"])
@pytest.mark.parametrize("both", [False, True])
def test_a_classifier_is_the_same_network(torch_tasks: ModuleType, output: str, both: bool) -> None:
    task = Classification(TEXTS)
    options = {**RECIPE, "output": output, "bidirectional": both, "loss": CrossEntropyLoss()}
    (batch,) = task.batches()
    loss, _ = task.model(**options, seed=3).gradient(batch)[:2]
    net = torch_tasks.network(task, options, 3)
    assert loss_of(net, batch) == pytest.approx(loss, rel=1e-5)
    if not both:
        assert loss_of(net, batch, packed=False) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("attention", [None, "dot"])
def test_a_translation_is_the_same_network_and_is_written_alike(torch_tasks: ModuleType, attention: str | None) -> None:
    task = Translation(TEXTS)
    options = {**RECIPE, "cell": "gru", "attention": attention}
    (batch,) = task.batches()
    model, net = task.model(**options, seed=3), torch_tasks.network(task, options, 3)
    loss, _ = model.gradient(batch)
    assert isinstance(model, EncoderDecoder)
    assert loss_of(net, batch) == pytest.approx(loss, rel=1e-5)
    assert loss_of(net, batch, packed=False) == pytest.approx(loss, rel=1e-5)
    texts = [text for text, _ in TEXTS[:5]]
    written = [each.text for each in task.trained(model).translate(texts)]
    assert torch_tasks.translate(net, task, texts) == written


def test_a_transcription_is_the_same_network(torch_tasks: ModuleType) -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((length, 80), np.float32) for length in (7, 3, 5)]
    (batch,) = RaggedBatches(inputs, [np.array(labels, np.int32) for labels in ([1, 1], [2], [3, 1])])
    options = {"cell": "lstm", "hidden_size": 5, "bidirectional": True}
    model = SequenceModel(input_size=80, output_size=5, loss=CTCLoss(blank=4), seed=3, **options)
    torch_tasks.torch.manual_seed(3)
    net = torch_tasks.Transcriber(5, **options)
    assert loss_of(net, batch) == pytest.approx(model.gradient(batch)[0], rel=1e-5)


@pytest.mark.parametrize("index", range(7))
def test_the_time_is_of_the_same_networks(torch_tasks: ModuleType, index: int) -> None:
    import tasks

    assert len(tasks.TASKS) == 7
    task = tasks.TASKS[index]
    torch_tasks.torch.manual_seed(3)
    net = task.net()
    batch = next(iter(task.batches))
    assert loss_of(net, batch) == pytest.approx(task.model(seed=3).gradient(batch)[0], rel=1e-4)
