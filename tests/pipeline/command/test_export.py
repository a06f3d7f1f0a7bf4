"""`recurrio export`: the file that it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.in_process import Done, parsed, run_here

from recurrio.core.base.safetensors import load_weights, save_weights

ROWS = 240
SMALL = ["--hidden", 8, "--seq-len", 4, "-q"]


def make_rows() -> list[dict[str, Any]]:
    """Noise, which its centre is found of, in the course of a day; now and then something is missing."""
    rng, rows = np.random.default_rng(0), list[dict[str, Any]]()
    for index in range(ROWS):
        time = 1_700_000_000 + 900 * (index // 2)
        x = 20 + 3 * np.sin(time * 2 * np.pi / 86_400) + rng.standard_normal()
        row = {"k": index % 2, "x": round(x, 3), "y": index % 5, "c": "abc"[index % 3], "t": time, "s": "no"}
        if index % 7 == 0:
            row["y"] = None
        rows.append({**row, "s": "high" if x > 20 else "low"})
    return rows


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """To be in, with records, and a space in its name."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in make_rows()))
    return folder


def do(*words: object) -> Done:
    """Run the command, which has to go well."""
    done = run_here(*words)
    assert done.code == 0, done.errors
    return done


def refused(*words: object, code: int = 1) -> str:
    """What the command says on the one line with which it ends."""
    done = run_here("export", *words)
    assert (done.code, done.output) == (code, "")
    (line,) = done.errors.splitlines()
    return line


def train(*words: object, out: str = "out") -> None:
    do("train", "data.jsonl", *SMALL, "--key", "k", "--features", "x,y,c:category", "--out", out, *words)


@pytest.mark.parametrize(
    "words",
    [
        ["--target", "x@+1"],
        ["--target", "x@+1,y@+3", "--time", "t", "--cell", "gru", "--layers", 2],
        ["--target", "x@+2", "--interval", 0.9, "--cell", "rnn"],
        ["--label", "s", "--time", "t"],
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_the_graph_says_what_predict_says(words: list[object], folder: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx, of the extra `export`")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime, which computes what was exported")
    from support.exported import Exported

    train(*words)
    do("export", "out", "the model.onnx")
    exported = Exported(onnx.load("the model.onnx"))
    said = exported.stream(make_rows(), "k")
    lines = parsed(do("predict", "out", "data.jsonl").output)
    assert len(lines) == ROWS
    if "class" in said:
        found = [exported.about["classes"][number] for number in said["class"]]
        assert found == [line["prediction"] for line in lines]
        return
    expected = [line["prediction"] for line in lines]
    if isinstance(expected[0], dict):
        assert [*expected[0]] == exported.about["targets"]
        expected = [[*line.values()] for line in expected]
    np.testing.assert_allclose(said["forecast"], np.array(expected).reshape(ROWS, -1), atol=1e-5)
    if "lower" in said:
        assert (said["lower"] < said["forecast"]).all()
        assert (said["forecast"] < said["upper"]).all()


def test_what_goes_in_and_out_is_said_and_a_file_is_replaced(folder: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx, of the extra `export`")
    train("--target", "x@+1")
    Path("graph").write_text("of before")
    os.chmod("graph", 0o640)
    lines = do("export", "out/model.safetensors", "graph").output.splitlines()
    assert lines[0] == "input:   numbers (B, T, 2): x, y; NaN is missing"
    assert lines[1].startswith("input:   ")
    assert lines[-2:] == ["output:  forecast (B, T, 1): x@+1", "wrote graph"]
    assert Path("graph").stat().st_size > 1000
    assert Path("graph").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in folder.iterdir()} == {"data.jsonl", "graph", "out"}  # and nothing beside it
    first = Path("graph").read_bytes()
    do("export", "out", "graph")
    assert Path("graph").read_bytes() == first


def test_a_text(folder: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx, of the extra `export`")
    Path("book.txt").write_text("to be or not to be, that is the question. " * 50)
    do("train", "book.txt", *SMALL, "--embedding", 4, "--batch-size", 4, "--steps", 2, "--out", "text")
    lines = do("export", "text", "text.onnx").output.splitlines()
    assert lines[0] == "input:   symbols (B, T): the numbers of symbols in the vocabulary"


def test_what_cannot_be_exported_is_said_and_leaves_the_file_as_it_was(folder: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx, of the extra `export`")
    train("--target", "x@+1", "--per-key")
    Path("graph").write_text("of before")
    assert "--per-key: cannot be exported, as" in refused("out", "graph")
    weights, metadata = load_weights("out/model.safetensors")
    save_weights("bad.safetensors", {name: np.full_like(array, np.nan) for name, array in weights.items()}, metadata)
    assert refused("bad.safetensors", "graph").startswith("recurrio: ")
    save_weights("other.safetensors", weights, {})
    assert refused("other.safetensors", "graph").endswith("a safetensors file, but no model of recurrio")
    assert refused("nowhere", "graph") == "recurrio: nowhere: No such file or directory"
    assert Path("graph").read_text() == "of before"


def test_a_model_is_not_replaced(folder: Path) -> None:
    train("--target", "x@+1")
    os.symlink("out/model.safetensors", "graph")
    before = Path("graph").read_bytes()
    assert refused("out", "graph", code=2) == "recurrio: ONNX graph: is MODEL already"
    said = "expected a file for the graph, as model.onnx, got one for a model"
    assert refused("out", "x.safetensors", code=2) == f"recurrio: ONNX x.safetensors: {said}"
    assert refused("out", "out") == "recurrio: ONNX out: Is a directory"
    assert refused("out", "nowhere/graph").endswith("No such file or directory")
    assert Path("graph").read_bytes() == before


def test_the_program_in_the_docs_says_what_predict_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="needs onnx, of the extra `export`")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime, which computes what was exported")
    renamed = {"k": "device", "x": "temperature", "y": "humidity"}
    rows = [{renamed[name]: value for name, value in row.items() if name in renamed} for row in make_rows()]
    Path("sensors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--key", "device", "--features", "temperature,humidity", "--target", "temperature@+1"]
    do("train", "sensors.jsonl", *SMALL, *words)
    do("export", "run", "model.onnx")
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(program, {})
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    lines = parsed(do("predict", "run", "sensors.jsonl").output)
    assert [key for key, _ in said] == [line["key"] for line in lines]
    np.testing.assert_allclose([float(x) for _, x in said], [line["prediction"] for line in lines], atol=1e-5)


def test_what_to_install_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("--target", "x@+1")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert refused("out", "graph") == "recurrio: export needs onnx; pip install 'recurrio[export]'"
    assert not Path("graph").exists()
