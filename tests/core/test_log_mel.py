"""Log-mel features: the formula written out, frame by frame, and what is left out of them."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurrio.core import ArgumentError
from recurrio.core.audio import log_mel, normalise_utterance

RNG = np.random.default_rng(0)


def by_the_formula(samples: list[float], rate: int) -> list[list[float]]:
    """The features as the docstring has them, in plain numbers."""
    window, hop = round(0.025 * rate), round(0.010 * rate)
    bins = 2 ** math.ceil(math.log2(window))
    samples = samples + [0.0] * (window - len(samples))
    low, high = (2595 * math.log10(1 + edge / 700) for edge in (50, 4000))
    points = [700 * (10 ** ((low + (high - low) * point / 41) / 2595) - 1) for point in range(42)]
    features = []
    for start in range(0, len(samples) - window + 1, hop):
        taper = [0.54 - 0.46 * math.cos(2 * math.pi * n / (window - 1)) for n in range(window)]
        frame = [samples[start + n] * taper[n] for n in range(window)]
        power = [
            abs(sum(value * cmath.exp(-2j * math.pi * k * n / bins) for n, value in enumerate(frame))) ** 2
            for k in range(bins // 2 + 1)
        ]
        bands = []
        for left, peak, right in zip(points, points[1:], points[2:], strict=False):
            energy = 0.0
            for k, value in enumerate(power):
                f = k * rate / bins
                energy += max(0.0, min((f - left) / (peak - left), (right - f) / (right - peak))) * value
            bands.append(math.log(max(energy, 1e-10)))
        features.append(bands)
    return features


@pytest.mark.parametrize(("rate", "count"), [(8000, 437), (8000, 60), (11025, 390), (16000, 400)])
def test_features_are_those_of_the_formula(rate: int, count: int) -> None:
    samples = RNG.normal(0, 0.1, count).astype(np.float32)
    features = log_mel(samples, rate)
    assert features.dtype == np.float32
    assert np.abs(features - np.array(by_the_formula(samples.tolist(), rate))).max() < 1e-5


@pytest.mark.parametrize(("rate", "window", "hop"), [(8000, 200, 80), (16000, 400, 160), (44100, 1102, 441)])
@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_frame_begins_every_ten_milliseconds(rate: int, window: int, hop: int, more: int) -> None:
    for extra in (0, hop - 1):
        assert log_mel(np.zeros(window + more * hop + extra), rate).shape == (1 + more, 40)


@pytest.mark.parametrize("frequency", [100, 440, 1000, 3500])
def test_a_tone_is_in_its_band(frequency: int) -> None:
    points = np.linspace(*(2595 * np.log10(1 + edge / 700) for edge in (50, 4000)), 42)
    nearest = np.abs(points[1:-1] - 2595 * np.log10(1 + frequency / 700)).argmin()
    for rate in (8000, 16000, 22050):
        tone = np.sin(2 * np.pi * frequency * np.arange(rate) / rate)
        assert abs(int(log_mel(tone, rate).mean(axis=0).argmax()) - nearest) <= 1


def test_every_band_has_a_frequency() -> None:
    for rate in (8000, 11025, 16000, 44100, 48000):
        assert (log_mel(np.eye(1, rate)[0], rate)[0] > -10).all()


def test_silence_and_little_sound() -> None:
    assert np.allclose(log_mel(np.zeros(0), 8000), math.log(1e-10))
    assert not normalise_utterance(log_mel(np.zeros(4000), 8000)).any()


@given(st.integers(1, 20), st.floats(-3, 3), st.floats(0.1, 10))
def test_neither_microphone_nor_loudness_is_left(steps: int, shift: float, scale: float) -> None:
    features = np.random.default_rng(steps).normal(size=(steps, 5))
    found = normalise_utterance(features)
    assert np.allclose(found.mean(axis=0), 0, atol=1e-9)
    if steps > 1:
        assert found.std() == pytest.approx(1)
    microphone = np.linspace(-1, 1, 5) + shift
    assert np.allclose(normalise_utterance(scale * features + microphone), found, atol=1e-6)
    assert normalise_utterance(features.astype(np.float32)).dtype == np.float32


def test_what_has_no_features() -> None:
    with pytest.raises(ArgumentError, match="rate: expected a whole number of at least 8000, got 4000"):
        log_mel(np.zeros(100), 4000)
    for samples in (np.zeros((5, 2)), np.zeros(5, np.int16)):
        with pytest.raises(ArgumentError, match=r"samples: expected floating point numbers \(N,\)"):
            log_mel(samples, 8000)
