"""The exported graph of a model of text, symbol after symbol, says what the model says."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx, of the extra `export`")
pytest.importorskip("onnxruntime", reason="needs onnxruntime, which computes what was exported")

from support.exported import Exported

from recurrio.core import SequenceModel
from recurrio.core.base.parameters import Array
from recurrio.core.cells.table import CELLS
from recurrio.core.text.text_model import TextModel
from recurrio.core.text.vocabularies import ByteVocabulary, CharVocabulary, TextVocabulary
from recurrio.pipeline.export import ExportError, to_onnx

CHARACTERS = CharVocabulary("the quick brown fox\N{SNOWMAN}\n")


def make(vocabulary: TextVocabulary = CHARACTERS, **options: object) -> TextModel:
    sizes = {"embedding_size": 4, "hidden_size": [7, 5], "num_layers": 2}
    return TextModel(SequenceModel(len(vocabulary), seed=1, **{**sizes, **options}), vocabulary)


def expected(text: TextModel, tokens: Array) -> Array:
    """The logarithms of what `text` says ``(T, V)`` behind each of `tokens`, one at a time."""
    state, found = None, []
    for token in tokens:
        outputs, state = text.model.step(np.array([token]), state)
        logits = outputs[0].astype(np.float64)
        found.append(logits - np.log(np.exp(logits).sum()))
    return np.array(found)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", list(CELLS))
def test_symbol_after_symbol(cell: str, dtype: str, bias: bool) -> None:
    text = make(cell=cell, dtype=dtype, bias=bias)
    exported, tokens = Exported(to_onnx(text)), CHARACTERS.encode("the fox" * 5).astype(np.int64)
    states, said = exported.begin(1), []
    for token in tokens:
        outputs, states = exported.run({"symbols": np.array([[token]])}, states)
        said.append(outputs["log_probabilities"][0, 0])
    np.testing.assert_allclose(said, expected(text, tokens), atol=1e-5)


def test_steps_and_lanes_at_once() -> None:
    text = make(cell="gru")
    tokens = np.random.default_rng(0).integers(0, len(CHARACTERS), (3, 20))
    exported = Exported(to_onnx(text))
    states, parts = exported.begin(3), []
    for start, stop in ((0, 13), (13, 20)):
        outputs, states = exported.run({"symbols": tokens[:, start:stop]}, states)
        parts.append(outputs["log_probabilities"])
    said = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(said, [expected(text, lane) for lane in tokens], atol=1e-5)


@pytest.mark.parametrize(
    ("vocabulary", "about"),
    [
        (CHARACTERS, {"kind": "chars", "characters": CHARACTERS.characters}),
        (ByteVocabulary(), {"kind": "bytes"}),
        (ByteVocabulary("latin-1"), {"kind": "bytes", "encoding": "latin-1"}),
    ],
    ids=["chars", "bytes", "latin-1"],
)
def test_the_symbols_are_said(vocabulary: TextVocabulary, about: dict[str, str]) -> None:
    exported = Exported(model := to_onnx(make(vocabulary)))
    assert exported.about["vocabulary"] == about
    assert exported.about["states"] == dict.fromkeys(("hidden_0", "cell_0", "hidden_1", "cell_1"), "0")
    assert exported.inputs["symbols"].shape == ["B", "T"]
    assert "symbol" in model.doc_string


def test_a_model_of_both_directions_is_refused() -> None:
    with pytest.raises(ExportError, match=r"^bidirectional=True: cannot be exported"):
        to_onnx(make(bidirectional=True))


def test_a_model_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = make()
    monkeypatch.setattr("recurrio.pipeline.export.network.LARGEST", 4 * text.model.layout.size - 1)
    with pytest.raises(ExportError, match=r"parameters: cannot be exported, as ONNX has less than 2 GiB"):
        to_onnx(text)
