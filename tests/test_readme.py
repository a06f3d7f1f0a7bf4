"""The code and the commands in the README, and on the pages about text and sequences, run as they stand there."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "docs/text.md", "docs/seq2seq.md")}
MAIN = "import sys; from recurrio.pipeline.command.cli import main; sys.exit(main())"
BLOCKS = [
    (name, block) for name, page in PAGES.items() for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
]
COMMANDS = re.findall(
    r"^(?:cat .*\| )?recurrio (?:train|generate|predict) (?!.*://).*$", "\n".join(PAGES.values()), re.MULTILINE
)
TEXT = [command for command in COMMANDS if re.search(r"\.txt|generate|book", command)]
TASKS = [command for command in COMMANDS if "--task" in command]
RECORDS = [command for command in COMMANDS if command not in TEXT + TASKS]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of records."""
    folder = tmp_path_factory.mktemp("records") / "files"
    subprocess.run([sys.executable, ROOT / "examples" / "records.py", folder], capture_output=True, check=True)
    return folder


@pytest.fixture
def folder(records: Path, text_file: Path, tmp_path: Path) -> Path:
    """A folder of one's own with all files that are named."""
    folder = shutil.copytree(records, tmp_path / "files")
    for name in ("tinyshakespeare.txt", "book.txt"):
        shutil.copy(text_file, folder / name)
    return folder


def run(commands: list[str], folder: Path) -> str:
    """Run the commands in this order until one fails, and none may; what they write to standard output."""
    script = "\n".join(["set -e", f"recurrio() {{ '{sys.executable}' -c '{MAIN}' \"$@\"; }}", *commands])
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stdout


def test_there_are_so_many_blocks_and_commands() -> None:
    assert [name for name, _ in BLOCKS] == ["README.md"] * 2 + ["docs/text.md"] * 2 + ["docs/seq2seq.md"]
    assert (len(TEXT), len(TASKS), len(RECORDS)) == (6, 1, 5)
    assert len(PAGES["README.md"].splitlines()) < 200


IDS = ("records", "layers", "fit", "trainer", "reverse")


@pytest.mark.parametrize("block", [block for _, block in BLOCKS], ids=IDS)
def test_a_block_runs(block: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_commands_for_a_text_run_and_can_be_repeated(folder: Path) -> None:
    run([command.replace("--steps 600", "--steps 6") for command in [*TEXT, *TEXT]], folder)
    assert len(list(folder.glob("run*/model.safetensors"))) == 8


def test_the_command_for_a_task_runs_and_learns(folder: Path) -> None:
    rows = runpy.run_path(str(ROOT / "examples" / "sentiment" / "train.py"))["made"]()
    lines = ["label\ttext", *(f"{label}\t{text}" for text, label in rows)]
    (folder / "reviews.tsv").write_text("\n".join(lines), encoding="utf-8")
    assert "accuracy 1.000 on 60 rows" in run(TASKS, folder).splitlines()[-1]


def test_the_commands_for_records_run_and_learn_and_can_be_repeated(folder: Path) -> None:
    said = run(RECORDS, folder)
    skills = [float(skill) for skill in re.findall(r"^done: .* skill (\S+)\)", said, re.MULTILINE)]
    assert len(skills) == 3
    assert min(skills) > 0.1
    ((accuracy, naive),) = re.findall(r"^done: .* accuracy (\S+)% \(naive (\S+)%\)", said, re.MULTILINE)
    assert float(accuracy) > float(naive) + 10
    # The truth is in the file: how good are the forecasts of a model that learns no more?
    states = [line.split("\t")[3] for line in (folder / "new.tsv").read_text("utf-8").splitlines()[1:]]
    made = [json.loads(line)["prediction"] for line in said.splitlines() if line.startswith("{")]
    assert len(made) == len(states) == 1000
    assert sum(map(str.__eq__, made, states)) > 850
    again = [RECORDS[0], RECORDS[3] + " --overwrite"]  # one that finds a folder of its own, and one that names it
    assert "--out" not in RECORDS[0]
    assert "--out" in RECORDS[3]
    assert (said.count("done: "), run(again, folder).count("done: ")) == (4, 2)


def test_the_forecasts_that_a_command_writes_have_the_skill_that_it_says(folder: Path) -> None:
    said = run([RECORDS[1]], folder)
    loads = [json.loads(line)["load"] for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    lines = [json.loads(line) for line in (folder / "p.jsonl").read_text("utf-8").splitlines()]
    assert [line["record"] for line in lines] == [*range(len(loads))]
    error = sum(abs(line["prediction"] - load) for line, load in zip(lines[:-1], loads[1:], strict=True))
    naive = sum(abs(before - load) for before, load in pairwise(loads))
    assert f"skill {1 - error / naive:+.3f})" in said.splitlines()[-1]
