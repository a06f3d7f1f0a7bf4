"""Vocabularies, weights on disk, and writing text."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from recurrio.core import (
    ByteVocabulary,
    CharVocabulary,
    SequenceModel,
    TextModel,
    WeightsError,
    load_weights,
    save_weights,
)


@given(st.text(min_size=1))
def test_characters_go_round(text: str) -> None:
    vocabulary = CharVocabulary(text)
    tokens = vocabulary.encode(text)
    assert tokens.dtype == np.int32
    assert tokens.min() >= 0
    assert tokens.max() < len(vocabulary)
    assert vocabulary.decode(tokens) == text


def test_an_unseen_character_is_token_0() -> None:
    vocabulary = CharVocabulary("abc")
    assert vocabulary.encode("aZé").tolist() == [1, 0, 0]
    assert CharVocabulary("").encode("a").tolist() == [0]


@given(st.binary(min_size=1))
def test_bytes_go_round(data: bytes) -> None:
    assert bytes(ByteVocabulary().encode(data).tolist()) == data


def make_text(vocabulary: CharVocabulary | ByteVocabulary) -> TextModel:
    return TextModel(SequenceModel(len(vocabulary), embedding_size=4, hidden_size=8, seed=1), vocabulary)


@pytest.mark.parametrize("vocabulary", [CharVocabulary("abcé \n"), ByteVocabulary()])
def test_a_text_model_goes_round(vocabulary: CharVocabulary | ByteVocabulary, tmp_path: Path) -> None:
    text, path = make_text(vocabulary), tmp_path / "with space.safetensors"
    text.save(path, {"step": 3})
    again = TextModel.load(path)
    assert np.array_equal(again.model.parameters, text.model.parameters)
    written = ["".join(one.generate("a", 50, rng=np.random.default_rng(1))) for one in (text, again)]
    assert written[0] == written[1]
    assert os.listdir(tmp_path) == [path.name]


def test_all_options_of_a_model_go_round(tmp_path: Path) -> None:
    vocabulary = CharVocabulary("abcé \n")
    options = {"layer_norm": True, "zoneout": 0.2, "embedding_dropout": 0.1, "output_dropout": 0.3, "proj_size": 3}
    text = TextModel(SequenceModel(len(vocabulary), embedding_size=4, hidden_size=6, **options, seed=1), vocabulary)
    text.save(tmp_path / "model.safetensors")
    again = TextModel.load(tmp_path / "model.safetensors")
    assert again.model.config == text.model.config
    assert options.items() <= again.model.config.items()
    written = ["".join(one.generate("a", 50, rng=np.random.default_rng(1))) for one in (text, again)]
    assert written[0] == written[1]


def test_generate_writes_the_length_asked_for() -> None:
    text = make_text(CharVocabulary("abc"))
    written = "".join(text.generate("", 30, rng=np.random.default_rng(0)))
    assert len(written) == 30
    assert set(written) <= set("abc")
    greedy = ["".join(text.generate("a", 20, temperature=0, rng=np.random.default_rng(n))) for n in range(2)]
    assert greedy[0] == greedy[1]
    with pytest.raises(ValueError, match="temperature"):
        list(text.generate("a", 1, temperature=float("nan"), rng=np.random.default_rng(0)))


def test_bytes_have_a_meaning_as_text_where_their_encoding_is_known() -> None:
    vocabulary = ByteVocabulary("latin-1")
    assert vocabulary.encode("é").tolist() == [0xE9]
    assert vocabulary.decode([0xE9, 0xE8]) == "éè"
    assert ByteVocabulary().encode("é").tolist() == [0xC3, 0xA9]
    assert ByteVocabulary().decode([0xE9, 0x21]) == "\ufffd!"
    with pytest.raises(UnicodeEncodeError):
        vocabulary.encode("漢")


def repeating(text: TextModel, data: bytes) -> TextModel:
    """`text`, made to write `data` over and over, whatever the prompt."""
    steps = iter(data * 100)

    def step(inputs: object, state: object = None) -> tuple[np.ndarray, object]:
        outputs = np.full((1, len(text.vocabulary)), -50.0)
        outputs[0, next(steps)] = 50.0
        return outputs, state

    text.model.step = step  # type: ignore[method-assign, assignment]
    return text


@pytest.mark.parametrize(
    "data",
    [
        b"\xe4\xb8\xe4\xb8\xad\x21",
        b"\xff\xe4\xb8\xad",
        b"\xf0\x9f\xe4\xb8\xad\xe4",
        b"\xc3",
        "déjà".encode(),
        b"\xed\xa0\x80a",
        b"\x80\x80",
    ],
)
def test_broken_utf8_is_written_as_python_decodes_it(data: bytes) -> None:
    text = repeating(make_text(ByteVocabulary()), data)
    pieces = list(text.generate("x", len(data), rng=np.random.default_rng(0)))
    assert "".join(pieces) == data.decode("utf-8", "replace")
    assert all(pieces)
    text = repeating(make_text(ByteVocabulary()), data)
    assert b"".join(text.generate_bytes("x", len(data), rng=np.random.default_rng(0))) == data


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("latin-1", b"d\xe9j\xe0"), ("utf-16-be", "déjà".encode("utf-16-be")), ("utf-16", "déjà".encode("utf-16-le"))],
)
def test_bytes_are_written_as_text_in_their_encoding(encoding: str, data: bytes, tmp_path: Path) -> None:
    make_text(ByteVocabulary(encoding)).save(tmp_path / "model.safetensors")
    text = repeating(TextModel.load(tmp_path / "model.safetensors"), data)
    assert isinstance(text.vocabulary, ByteVocabulary)
    assert text.vocabulary.encoding == encoding
    assert "".join(text.generate(b"x", len(data), rng=np.random.default_rng(0))) == "déjà"


def test_bytes_are_drawn_as_their_text_is() -> None:
    text = make_text(ByteVocabulary())
    written = "".join(text.generate("ab", 200, rng=np.random.default_rng(3)))
    data = b"".join(text.generate_bytes(b"ab", 200, rng=np.random.default_rng(3)))
    assert len(data) == 200
    assert written == data.decode("utf-8", "replace")


def test_characters_are_no_bytes() -> None:
    text = make_text(CharVocabulary("abc"))
    with pytest.raises(ValueError, match="vocabulary: expected bytes, got chars"):
        text.generate_bytes("a", 3, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="prompt: expected a string"):
        list(text.generate(b"a", 3, rng=np.random.default_rng(0)))


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_nothing_is_written_by_a_model_that_is_not_finite(temperature: float) -> None:
    text = make_text(CharVocabulary("abc"))
    text.model.parameters[:] = 1e38  # finite, but not what comes of it
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="not finite"):
        list(text.generate("a", 9, temperature=temperature, rng=np.random.default_rng(0)))


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 100])
def test_a_file_that_is_no_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        TextModel.load(path)


def test_a_model_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(2)}, path)
    with pytest.raises(WeightsError, match="no text model"):
        TextModel.load(path)
    text = make_text(CharVocabulary("abc"))
    text.save(path)
    weights, metadata = load_weights(path)
    save_weights(path, weights, {**metadata, "vocabulary": "{}"})
    with pytest.raises(WeightsError, match="damaged"):
        TextModel.load(path)
    del weights["head.bias"]
    save_weights(path, weights, metadata)
    with pytest.raises(WeightsError, match=r"missing head\.bias"):
        TextModel.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, {"x": np.zeros(2)})
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(path, {"x": np.ones(2)})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
