"""A transcriber: what it hears and writes, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurrio.core import (
    ArgumentError,
    CharVocabulary,
    CTCLoss,
    SequenceModel,
    TextClassifier,
    Transcriber,
    WeightsError,
    ctc_greedy,
    load_weights,
    log_mel,
    normalise_utterance,
    save_weights,
)
from recurrio.core.audio import heard

VOCABULARY, RATE = CharVocabulary("abc"), 8000
SAMPLES = np.random.default_rng(0).standard_normal(4000).astype(np.float32) / 9


def make(**options: object) -> Transcriber:
    loss = CTCLoss(blank=len(VOCABULARY))
    sizes = {"input_size": 80, "output_size": len(VOCABULARY) + 1, "hidden_size": 6, "loss": loss, "seed": 1}
    model = SequenceModel(**{**sizes, **options})
    model.parameters *= 4  # sure of something
    return Transcriber(model, VOCABULARY, RATE)


@pytest.mark.parametrize("count", [4000, 4080, 100, 0])
def test_two_frames_are_a_step(count: int) -> None:
    frames = normalise_utterance(log_mel(SAMPLES[:count], RATE))
    steps = heard(SAMPLES[:count], RATE)
    assert (steps.shape, steps.dtype) == ((-(-len(frames) // 2), 80), np.float32)
    for number, frame in enumerate(frames):
        assert np.array_equal(steps[number // 2, number % 2 * 40 :][:40], frame)
    assert len(frames) % 2 == 0 or not steps[-1, 40:].any()


def test_what_is_written_is_the_best_path() -> None:
    transcriber = make()
    outputs, _ = transcriber.model(heard(SAMPLES, RATE)[:, None])
    (labels,) = ctc_greedy(outputs, blank=4)
    assert len(labels) > 1
    assert transcriber.transcribe(SAMPLES, RATE) == VOCABULARY.decode(labels)
    assert isinstance(transcriber.transcribe(SAMPLES[:0], RATE), str)
    with pytest.raises(ArgumentError, match="rate: expected 8,000 samples a second, got 16000"):
        transcriber.transcribe(SAMPLES, 16000)
    with pytest.raises(ArgumentError, match="samples"):
        transcriber.transcribe(np.zeros((2, 2)), RATE)


def test_a_transcriber_goes_round(tmp_path: Path) -> None:
    transcriber, path = make(bidirectional=True), tmp_path / "model.safetensors"
    transcriber.save(path, {"epoch": 3})
    again = Transcriber.load(path)
    assert (again.rate, again.model.seed, again.vocabulary.config) == (RATE, 1, VOCABULARY.config)
    assert np.array_equal(again.model.parameters, transcriber.model.parameters)
    assert again.transcribe(SAMPLES, RATE) == transcriber.transcribe(SAMPLES, RATE) != ""
    transcriber.save(path, parameters=np.zeros_like(transcriber.model.parameters))
    assert not Transcriber.load(path).model.parameters.any()


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path, transcriber = tmp_path / "model.safetensors", make()
    transcriber.save(path)
    with pytest.raises(WeightsError, match="no classifier"):
        TextClassifier.load(path)
    weights, metadata = load_weights(path)
    for name, value in {"rate": "0", "vocabulary": '{"kind": "chars", "characters": ""}', "model": "{}"}.items():
        save_weights(path, weights, {**metadata, name: value})
        with pytest.raises(WeightsError, match="a damaged transcriber"):
            Transcriber.load(path)
    save_weights(path, weights, {})
    with pytest.raises(WeightsError, match="no transcriber"):
        Transcriber.load(path)


def test_what_is_no_transcriber() -> None:
    for options in ({"output": "last", "loss": None}, {"loss": None}, {"loss": CTCLoss()}):
        with pytest.raises(ArgumentError, match=r"model: expected one that says a symbol .*CTCLoss\(blank=4\)"):
            make(**options)
    for options in ({"input_size": 40}, {"output_size": 6}):
        with pytest.raises(ArgumentError, match="expected 80 features, and 4 symbols and the blank"):
            make(**options)


def test_it_shows_what_it_is() -> None:
    assert repr(make()).endswith("CharVocabulary of 4 symbols, rate=8000)")
    assert "<td>8,000 samples a second</td>" in make()._repr_html_()
