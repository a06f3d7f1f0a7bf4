"""Vocabularies, weights on disk, and writing text."""

from __future__ import annotations

import os
import stat
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
def test_a_checkpoint_goes_round(vocabulary: CharVocabulary | ByteVocabulary, tmp_path: Path) -> None:
    text, path = make_text(vocabulary), tmp_path / "with space.safetensors"
    text.save(path, {"step": 3})
    again = TextModel.load(path)
    assert np.array_equal(again.model.parameters, text.model.parameters)
    written = ["".join(one.generate("a", 50, rng=np.random.default_rng(1))) for one in (text, again)]
    assert written[0] == written[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]


def test_generate_writes_the_length_asked_for() -> None:
    text = make_text(CharVocabulary("abc"))
    written = "".join(text.generate("", 30, rng=np.random.default_rng(0)))
    assert len(written) == 30
    assert set(written) <= set("abc")
    greedy = ["".join(text.generate("a", 20, temperature=0, rng=np.random.default_rng(n))) for n in range(2)]
    assert greedy[0] == greedy[1]
    with pytest.raises(ValueError, match="temperature"):
        list(text.generate("a", 1, temperature=float("nan"), rng=np.random.default_rng(0)))


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 100])
def test_a_file_that_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        TextModel.load(path)


def test_a_checkpoint_of_something_else(tmp_path: Path) -> None:
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
