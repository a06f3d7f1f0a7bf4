"""Log-mel features: how much energy a sound has in each of some bands of frequencies, over the time."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..base.blas import one_blas_thread
from ..base.checks import ArgumentError, check_count
from ..base.parameters import Array

__all__ = ["BANDS", "frame_samples", "log_mel", "normalise_utterance"]

WINDOW, HOP = 0.025, 0.010  # seconds
BANDS, LOWEST, HIGHEST = 40, 50.0, 4000.0  # of which the edges are in Hz
LOWEST_RATE = 8000  # that has the highest edge
FLOOR = 1e-10  # of the energy of a band: 16-bit silence has more


def log_mel(samples: Array, rate: int) -> Array:
    """The features ``(T, 40)`` float32 of `samples` ``(N,)`` in −1…1, `rate` of them a second.

    A frame is 25 ms under a Hamming window, with zeros behind up to a power of two; the next one begins 10 ms later.
    So there are ``T = 1 + (N − window) // hop`` of them, and one of fewer samples, with zeros behind them. With the
    powers ``|X_k|²`` of its discrete Fourier transform, band b is ``log max(Σ_k w_bk · |X_k|², 1e-10)``. The ``w_b``
    are triangles of height 1; their edges and peaks are 42 points from 50 to 4000 Hz, at equal distances in
    ``mel(f) = 2595 · log₁₀(1 + f / 700)``.

    Raises ArgumentError; the rate is at least 8000.
    """
    rate = check_count("rate", rate, LOWEST_RATE)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise ArgumentError("samples", "floating point numbers (N,)", f"{samples.dtype} {samples.shape}")
    window, hop = frame_samples(rate)
    samples = np.concatenate([samples, np.zeros(max(0, window - len(samples)))])
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * np.hamming(window)
    bins = _bins(window)
    power = np.square(np.abs(np.fft.rfft(frames, bins)))
    with one_blas_thread():  # their number can change the last bits
        energies: Array = power @ _triangles(rate, bins).T
    return np.log(np.maximum(energies, FLOOR)).astype(np.float32)


def frame_samples(rate: int) -> tuple[int, int]:
    """How many samples a frame has, and how many later the next one begins."""
    return round(WINDOW * rate), round(HOP * rate)


def normalise_utterance(features: Array) -> Array:
    """`features` ``(T, F)`` of an utterance without the mean of each band, in units of one deviation for all of them.

    So neither the microphone nor how loud it was is left in them. Silence is zeros.
    """
    centred: Array = features - features.mean(axis=0, dtype=np.float64)
    deviation = float(np.sqrt(np.mean(np.square(centred))))
    return centred.astype(features.dtype) if deviation == 0 else (centred / deviation).astype(features.dtype)


def _bins(window: int) -> int:
    """The power of two that has room for a window."""
    return 1 << (window - 1).bit_length()


@cache
def _triangles(rate: int, bins: int) -> Array:
    """The weight ``(bands, bins // 2 + 1)`` of each frequency of the transform in each band."""
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (LOWEST, HIGHEST))
    points = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    frequencies = np.arange(bins // 2 + 1) * rate / bins
    left, peak, right = points[:-2, None], points[1:-1, None], points[2:, None]
    rising, falling = (frequencies - left) / (peak - left), (right - frequencies) / (right - peak)
    return np.maximum(0, np.minimum(rising, falling))
