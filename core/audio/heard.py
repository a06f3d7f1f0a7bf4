"""What a model reads of a recording: of all of it, or of what has come so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..base.parameters import Array
from .log_mel import BANDS, log_mel, normalise_utterance

__all__ = ["STACKED", "STEP_SIZE", "BandStatistics", "RunningNormaliser", "heard", "stacked"]

STACKED = 2  # frames a step
STEP_SIZE = STACKED * BANDS
PRIOR = 100  # frames that the statistics count for with which one begins
MEMORY = 1000  # frames that what has come counts for at most


class BandStatistics(NamedTuple):
    """The mean of each band ``(40,)``, and the deviation of all of them around it in an utterance."""

    mean: tuple[float, ...]
    deviation: float

    @classmethod
    def of(cls, utterances: Sequence[Array]) -> BandStatistics:
        """Those of some utterances, features ``(T, 40)`` each."""
        mean = np.mean([one.mean(axis=0, dtype=np.float64) for one in utterances], axis=0)
        deviation = float(np.sqrt(np.mean([one.astype(np.float64).var(axis=0).mean() for one in utterances])))
        return cls(tuple(mean.tolist()), deviation or 1.0)


class RunningNormaliser:
    """`normalise_utterance` for a stream: by the mean of each band, and the deviation, of the frames so far.

    It begins with the `statistics` of other utterances, as if 100 frames had been like them. Whenever there are 1,000,
    they count for 500 from then on, so that it follows a voice or a microphone that changes.
    """

    def __init__(self, statistics: BandStatistics) -> None:
        self._frames = PRIOR
        self._sum = PRIOR * np.array(statistics.mean)
        self._squares = PRIOR * statistics.deviation**2

    def __call__(self, frames: Array) -> Array:
        """The next frames ``(n, 40)``, normalised, float32."""
        normalised: Array = np.empty(frames.shape, np.float32)
        at = 0
        while at < len(frames):
            part = frames[at : at + MEMORY - self._frames].astype(np.float64)
            counts = self._frames + np.arange(1, len(part) + 1)
            sums = self._sum + part.cumsum(axis=0)
            centred = part - sums / counts[:, None]
            squares = self._squares + np.square(centred).mean(axis=1).cumsum()
            normalised[at : at + len(part)] = centred / np.sqrt(squares / counts)[:, None]
            self._sum, self._squares, self._frames = sums[-1], squares[-1], self._frames + len(part)
            if self._frames == MEMORY:
                self._sum, self._squares, self._frames = self._sum / 2, self._squares / 2, MEMORY // 2
            at += len(part)
        return normalised


def heard(samples: Array, rate: int, statistics: BandStatistics | None = None) -> Array:
    """What a model reads of a recording ``(N,)``: ``(T, 80)`` float32, with two frames of 10 ms a step.

    They are those of `log_mel`, normalised by utterance, or with `statistics` to begin with as far as they have come;
    behind an odd number of them stands one of zeros. Raises ArgumentError.
    """
    frames = log_mel(samples, rate)
    frames = normalise_utterance(frames) if statistics is None else RunningNormaliser(statistics)(frames)
    return stacked(frames)


def stacked(frames: Array) -> Array:
    """Frames ``(n, 40)`` as steps ``(T, 80)``; behind an odd number of them stands one of zeros."""
    return np.pad(frames, ((0, -len(frames) % STACKED), (0, 0))).reshape(-1, STEP_SIZE)
