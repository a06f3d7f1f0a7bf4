"""What is written down while it is said: however it comes, it is what is written of all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurrio.core import (
    ArgumentError,
    CharVocabulary,
    CTCLoss,
    Listener,
    SequenceModel,
    Transcriber,
    WordVocabulary,
    log_mel,
)
from recurrio.core.audio import BandStatistics
from recurrio.core.audio.heard import MEMORY, PRIOR, RunningNormaliser, heard

RATE = 8000
RNG = np.random.default_rng(0)
SAMPLES = (RNG.standard_normal(16_000) * np.repeat(RNG.uniform(0.01, 0.3, 20), 800)).astype(np.float32)
STATISTICS = BandStatistics.of([log_mel(SAMPLES, RATE), log_mel(SAMPLES[:4000] / 9, RATE)])
CHARS, WORDS = CharVocabulary("abc"), WordVocabulary(["one", "two", "three"])


def make(vocabulary: CharVocabulary | WordVocabulary = CHARS, **options: object) -> Transcriber:
    loss = CTCLoss(blank=len(vocabulary))
    sizes = {"input_size": 80, "output_size": len(vocabulary) + 1, "hidden_size": 6, "loss": loss, "seed": 1}
    model = SequenceModel(**{**sizes, **options})
    rng, weights = np.random.default_rng(3), model.state_dict()  # with which it says many things
    spread = {"rnn.weight_ih_l0": 0.15, "rnn.weight_hh_l0": 0.3, "head.weight": 3.0}
    drawn = {name: rng.standard_normal(array.shape) * spread.get(name, 0) for name, array in weights.items()}
    model.load_state_dict({name: array.astype(np.float32) for name, array in drawn.items()})
    return Transcriber(model, vocabulary, RATE, STATISTICS)


def listen(transcriber: Transcriber, samples: np.ndarray, cuts: list[int]) -> str:
    listener = Listener(transcriber)
    return "".join(map(listener.feed, np.split(samples, sorted(cuts)))) + listener.finish()


@given(st.lists(st.integers(0, len(SAMPLES)), max_size=40))
def test_however_it_comes(cuts: list[int]) -> None:
    transcriber = make()
    assert listen(transcriber, SAMPLES, cuts) == transcriber.transcribe(SAMPLES, RATE)


def test_that_is_something() -> None:
    said = make().transcribe(SAMPLES, RATE)
    assert len(said) > 20
    assert set(said) >= {"a", "b", "c"}


@pytest.mark.parametrize("count", [0, 1, 199, 200, 279, 280, 359, 360, 5000])
@pytest.mark.parametrize("vocabulary", [CHARS, WORDS], ids=["chars", "words"])
def test_to_the_last_frame(vocabulary: CharVocabulary | WordVocabulary, count: int) -> None:
    transcriber = make(vocabulary)
    whole = "" if count == 0 else transcriber.transcribe(SAMPLES[:count], RATE)
    assert listen(transcriber, SAMPLES[:count], [*range(0, count, 37)]) == whole
    assert count < 5000 or len(whole) > 5


def test_what_comes_later_changes_nothing() -> None:
    both = [(Listener(make()), SAMPLES), (Listener(make()), np.append(SAMPLES[:8000], SAMPLES[8000:] ** 2))]
    said, others = ([*map(listener.feed, np.split(all_of_it, 4))] for listener, all_of_it in both)
    assert said[:2] == others[:2]
    assert said[2:] != others[2:]


def test_frames_are_normalised_by_those_so_far() -> None:
    frames = log_mel(SAMPLES, RATE)
    normalised = RunningNormaliser(STATISTICS)(frames)
    variance = STATISTICS.deviation**2
    assert len(frames) + PRIOR < MEMORY
    for count in range(1, len(frames) + 1):
        mean = (PRIOR * np.array(STATISTICS.mean) + frames[:count].sum(axis=0, dtype=np.float64)) / (PRIOR + count)
        centred = frames[count - 1] - mean
        variance = ((PRIOR + count - 1) * variance + np.mean(centred**2)) / (PRIOR + count)
        np.testing.assert_allclose(normalised[count - 1], centred / np.sqrt(variance), rtol=1e-4, atol=1e-5)


def test_they_are_the_same_however_they_come() -> None:
    frames = np.tile(log_mel(SAMPLES, RATE), (10, 1))
    whole, normalise = RunningNormaliser(STATISTICS)(frames), RunningNormaliser(STATISTICS)
    parts = np.concatenate([*map(normalise, np.split(frames, [0, 1, 5, 800, 900, 901, 1703]))])
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-6)


def test_what_was_long_ago_is_forgotten() -> None:
    frames = np.tile(log_mel(SAMPLES, RATE), (40, 1))
    loud = RunningNormaliser(STATISTICS)
    before, after = loud(frames)[-200:], loud(frames + 5)[-200:]
    assert len(frames) > 5 * MEMORY
    assert np.abs(after - before).max() < 0.05


def test_its_memory_does_not_grow() -> None:
    listener = Listener(make())
    for _ in range(50):
        listener.feed(SAMPLES)
        assert len(listener._samples) < 360


def test_statistics_are_in_the_file(tmp_path: Path) -> None:
    make().save(tmp_path / "model.safetensors")
    again = Transcriber.load(tmp_path / "model.safetensors")
    assert again.statistics is not None
    assert np.array_equal(heard(SAMPLES, RATE, again.statistics), heard(SAMPLES, RATE, STATISTICS))
    assert listen(again, SAMPLES, [5000]) == make().transcribe(SAMPLES, RATE)


def test_who_cannot_listen() -> None:
    without = make()
    without.statistics = None
    for transcriber in (without, make(bidirectional=True)):
        with pytest.raises(ArgumentError, match="transcriber: expected one that reads in one direction"):
            Listener(transcriber)
    for samples in (np.zeros((2, 3)), np.zeros(3, np.int16)):
        with pytest.raises(ArgumentError, match=r"samples: expected floating point numbers \(n,\)"):
            Listener(make()).feed(samples)
