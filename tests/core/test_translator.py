"""A translator: what it writes, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurrio.core import (
    ArgumentError,
    EncoderDecoder,
    TextClassifier,
    Translator,
    WeightsError,
    WordVocabulary,
    load_weights,
    save_weights,
)
from recurrio.core.seq2seq import beam, greedy

TEXTS = ["it is a day", "", "what it is", "day", "unheard of", "it is what it is", "a day"]
SOURCE = WordVocabulary(["it", "is", "a", "day", "what"])
TARGET = WordVocabulary(["il", "est", "un", "jour", "."])


def make(limit: int = 8, **options: object) -> Translator:
    sizes = {"embedding_size": 4, "hidden_size": 6, "attention": "dot", "seed": 3, **options}
    model = EncoderDecoder(len(SOURCE), len(TARGET) + 1, start=len(TARGET), end=len(TARGET), **sizes)
    model.parameters *= 4  # sure of something
    return Translator(model, SOURCE, TARGET, limit)


@pytest.mark.parametrize("attention", [None, "dot"])
def test_texts_are_translated_as_one_by_one(attention: str | None) -> None:
    translator = make(attention=attention)
    together = translator.translate(TEXTS)
    assert len({each.text for each in together}) > 1
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = translator.translate([text])
        assert alone.text == found.text
        assert alone.score == pytest.approx(found.score, abs=1e-6)
        inputs = SOURCE.encode(text)[:, None]
        if len(inputs):
            (likeliest,) = greedy(translator.model, inputs, limit=8)
            assert found.text == TARGET.decode(likeliest.symbols)
            assert found.score == pytest.approx(likeliest.score / (len(likeliest.symbols) + likeliest.ended), abs=1e-6)
    assert translator.translate([]) == []


def test_a_wider_beam_finds_what_is_likelier() -> None:
    translator = make()
    for text, one, wide in zip(TEXTS, translator.translate(TEXTS), translator.translate(TEXTS, beam=4), strict=True):
        inputs = SOURCE.encode(text)[:, None]
        assert wide.score >= one.score - 1e-6
        if len(inputs):
            best = beam(translator.model, inputs, width=4, limit=8)[0][0]
            assert wide.text == TARGET.decode(best.symbols)
            assert wide.score == pytest.approx(best.score, abs=1e-6)
    with pytest.raises(ArgumentError, match="beam: "):
        translator.translate(TEXTS, beam=0)


def test_what_was_written_is_aligned_with_what_was_read() -> None:
    translator = make()
    found = translator.align("It is  a night", "Un jour, est.")
    assert (found.source, found.target) == (["it", "is", "a", "\ufffd"], ["un", "jour", "\ufffd", "est", "."])
    inputs, targets = SOURCE.encode("it is a night")[:, None], TARGET.encode("un jour, est.")[:, None]
    assert np.array_equal(found.weights, translator.model.attention_weights(inputs, targets)[0])
    assert np.allclose(found.weights.sum(axis=1), 1)
    assert translator.align("", "un").weights.shape == (1, 0)
    assert translator.align("a", "").weights.shape == (0, 1)
    with pytest.raises(ArgumentError, match="attention: "):
        make(attention=None).align("a", "un")


def test_a_translator_goes_round(tmp_path: Path) -> None:
    translator, path = make(limit=5), tmp_path / "model.safetensors"
    translator.save(path, {"epoch": 3})
    again = Translator.load(path)
    assert (again.limit, again.model.seed) == (5, 3)
    assert again.translate(TEXTS, beam=2) == translator.translate(TEXTS, beam=2)
    translator.save(path, parameters=np.zeros_like(translator.model.parameters))
    assert not Translator.load(path).model.parameters.any()


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path, translator = tmp_path / "model.safetensors", make()
    translator.save(path)
    for other in (TextClassifier, EncoderDecoder):
        with pytest.raises(WeightsError, match=r"no classifier|no encoder–decoder"):
            other.load(path)
    weights, metadata = load_weights(path)
    for name, value in {"limit": "0", "source": '{"kind": "words"}', "target": '{"kind": "x"}', "model": "{}"}.items():
        save_weights(path, weights, {**metadata, name: value})
        with pytest.raises(WeightsError, match="a damaged translator"):
            Translator.load(path)
    translator.model.save(path)
    with pytest.raises(WeightsError, match="no translator"):
        Translator.load(path)


def test_what_is_no_translator() -> None:
    sizes = {"embedding_size": 2, "hidden_size": 2, "seed": 0}
    with pytest.raises(ArgumentError, match="expected 6 symbols to read, and 6 and the end to write, got 6 to read"):
        Translator(EncoderDecoder(6, 6, start=5, end=5, **sizes), SOURCE, TARGET)
    with pytest.raises(ArgumentError, match="model: expected 6 for start and end, got 5 and 6"):
        Translator(EncoderDecoder(6, 7, start=5, end=6, **sizes), SOURCE, TARGET)
    with pytest.raises(ArgumentError, match="limit: "):
        make(limit=0)


def test_it_shows_what_it_is() -> None:
    assert repr(make()).endswith("WordVocabulary of 6 symbols, WordVocabulary of 6 symbols, limit=8)")
    assert "<td>words, 6 symbols</td>" in make()._repr_html_()
