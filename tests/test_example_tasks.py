"""The examples of tasks: each learns from what it makes itself, and from a file, and is of use then."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from recurrio.core import Adam, SequenceBatch, TextClassifier
from recurrio.core.model.ranks import default_ranks
from recurrio.core.optim.updater import Updater
from recurrio.core.serial import run as run_serially
from recurrio.core.training_state import TrainingState

EXAMPLES = Path(__file__).parent.parent / "examples"
TASKS = ("sentiment", "intents", "translate")
COLUMNS = {  # of a file, and how the example is told
    "sentiment": ("text", "label", []),
    "intents": ("said", "wanted", ["--text", "said", "--intent", "wanted"]),
    "translate": ("English", "French", ["--source", "English", "--target", "French"]),
}
ASKED = {
    "sentiment": {
        "not bad at all.": r"positive 0\.[5-9]\d\d  not bad at all\.",
        "the film is not good.": r"negative 0\.[5-9]\d\d  the film is not good\.",
    },
    "intents": {"play some jazz": r"play some jazz\n  Music 0\.\d{3}, [LW]\w+ 0\.\d{3}, [LW]\w+ 0\.\d{3}"},
    "translate": {
        "She has a big house.": r"She has a big house\.\n"
        r"  greedy  -0\.\d\d  elle a une maison grand\.\n  beam    -0\.\d\d  elle a une maison grand\.\n"
        r"  elle ← \S+ [01]\.\d\d, a ← .*, une ← .*, maison ← .*, grand ← big [01]\.\d\d, \. ← \S+ [01]\.\d\d"
    },
}


def run(task: str, part: str, folder: Path, *words: object, said: str | None = None) -> str:
    """What a part of the example prints."""
    command = [sys.executable, str(EXAMPLES / task / f"{part}.py"), *map(str, words)]
    how = {"cwd": folder, "input": said, "capture_output": True, "encoding": "utf-8", "timeout": 60}
    done = subprocess.run(command, **how, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """The folder of each example, after training without a file, and what that printed; made when first asked for."""

    class Made(dict[str, tuple[Path, str]]):
        def __missing__(self, task: str) -> tuple[Path, str]:
            folder = tmp_path_factory.mktemp(task)
            self[task] = folder, run(task, "train", folder)
            return self[task]

    return Made()


@pytest.mark.parametrize("task", TASKS)
def test_it_learns_what_it_makes_itself_and_is_of_use(task: str, trained: dict[str, tuple[Path, str]]) -> None:
    folder, said = trained[task]
    assert sorted(path.suffix for path in folder.iterdir()) == [".safetensors"]
    scores = [float(score) for score in re.findall(r"^epoch \d: \w+ (\S+)$", said, re.MULTILINE)]
    *_, name, best = re.fullmatch(r"(?:.*\n)*(\S+): epoch \d, \w+ (\S+)\n", said).groups()  # type: ignore[union-attr]
    assert float(best) == max(scores) == (100 if task == "translate" else 1)
    asked = ASKED[task]
    for given in ((*asked,), ()):
        lines = "".join(f"{text}\n" for text in asked)
        assert re.fullmatch("\n".join(asked.values()), run(task, "use", folder, name, *given, said=lines).rstrip())


@pytest.mark.parametrize("task", TASKS)
def test_it_learns_from_a_file(task: str, tmp_path: Path) -> None:
    source, target, options = COLUMNS[task]
    rows = runpy.run_path(str(EXAMPLES / task / "train.py"))["made"](50)
    lines = ["\t".join(("number", target, source)), *(f"{n}\t{b}\t{a}" for n, (a, b) in enumerate(rows)), "broken"]
    (tmp_path / "rows.tsv").write_text("\n".join(lines), encoding="utf-8")
    said = run(task, "train", tmp_path, "rows.tsv", *options, "--epochs", 1, "--out", "model.safetensors")
    assert "rows.tsv: 50 rows, and 1 that cannot be used\n" in said
    assert ", 45 rows; 5 others score it" in said
    assert said.count("epoch 1") == 2
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("task", TASKS)
def test_what_is_said_of_it_is_of_programs_that_are_there(task: str) -> None:
    page = (EXAMPLES / task / "README.md").read_text("utf-8")
    found = re.findall(r"^python examples/(\S+)", page, re.MULTILINE)
    assert {path.name for path in map(Path, found)} == {path.name for path in (EXAMPLES / task).glob("*.py")}
    assert all((EXAMPLES / path).is_file() for path in found)


@contextmanager
def streaming(folder: Path, model: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The example that listens, and its port."""
    command = [sys.executable, str(EXAMPLES / "sentiment" / "stream.py"), str(model), "tcp-listen://127.0.0.1:0"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, encoding="utf-8", env=buffered) as process:
        end = Timer(60, process.kill)  # so that a line that does not come is an error
        end.start()
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().rpartition(":")[2])
        finally:
            end.cancel()
            process.kill()


def test_a_stream_is_answered_before_it_is_learned_from(tmp_path: Path, trained: dict[str, tuple[Path, str]]) -> None:
    path = trained["sentiment"][0] / "sentiment.safetensors"
    rows = runpy.run_path(str(EXAMPLES / "sentiment" / "train.py"))["made"](510)
    rows = [(text, "negative" if "not" in text else "positive") for text, _ in rows]  # which is another rule
    forms = [lambda text, label: f"{label}\t{text}", lambda text, label: json.dumps({"text": text, "label": label})]
    lines = [forms[number % 2](*row) for number, row in enumerate(rows)]
    lines += ["odd\tit is great", '{"text": 3}', '{"text": "it is great"}', "\tit is dull", "it is good"]
    with streaming(tmp_path, path) as (process, port):
        assert process.stdout is not None
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"\xff\n" + "\n".join(lines).encode())
        found = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        found += process.stdout.readlines()
        assert process.wait(10) == 0

    # The same by the plain loop: what comes next is answered by what was learned up to there.
    kept, right, majority, counts = TextClassifier.load(path), list[bool](), list[bool](), Counter[str]()

    def batches() -> Iterator[SequenceBatch]:
        for number, (text, label) in enumerate(rows, 1):
            right.append(kept.predict([text])[0].label == label)
            majority.append(bool(counts) and label == max(counts, key=counts.__getitem__))
            counts[label] += 1
            if number % 16 == 0:
                yield kept.batch(rows[number - 16 : number])

    state = TrainingState(kept.model, Updater(Adam(0.003), 1.0), ranks=default_ranks(kept.model, 1, 0))
    for _ in run_serially(state, batches(), largest=(400, 16)):
        pass
    assert sum(right[:100]) < 70 < 90 < sum(right[-100:])

    def scores(right: list[bool], majority: list[bool]) -> str:
        return f"{len(right)} labels: accuracy {np.mean(right):.3f} (majority {np.mean(majority):.3f})"

    texts = ["it is great", "it is dull", "it is good"]
    assert [line.rstrip() for line in found] == [
        scores(right[:500], majority[:500]),
        *(f"{one.label} {one.probability:.3f}  {text}" for text in texts for one in kept.predict([text])),
        f"{scores(right, majority)}; 3 lines rejected",
    ]
    assert np.array_equal(TextClassifier.load(tmp_path / "live.safetensors").model.parameters, kept.model.parameters)
