"""Writing down what is said while it is said."""

from __future__ import annotations

import numpy as np

from ..base.checks import ArgumentError
from ..base.parameters import Array
from ..cells.buffers import State
from .heard import STACKED, RunningNormaliser, stacked
from .log_mel import frame_samples, log_mel
from .transcriber import Transcriber

__all__ = ["Listener"]


class Listener:
    """Writes down what is said in a stream of samples with `transcriber`, a step of 20 ms after the other.

    What it writes is the same however the stream is cut, to the bit, and that of `Transcriber.transcribe` but for
    rounding. Its memory does not grow. Raises ArgumentError where the model needs what comes later.
    """

    def __init__(self, transcriber: Transcriber) -> None:
        model, statistics = transcriber.model, transcriber.statistics
        if statistics is None or model.config["bidirectional"]:
            expected = "one that reads in one direction, with statistics to begin with"
            got = "bidirectional=True" if model.config["bidirectional"] else "none of these"
            raise ArgumentError("transcriber", expected, got)
        self._model, self._vocabulary = model, transcriber.vocabulary
        self._rate, self._blank = transcriber.rate, len(transcriber.vocabulary)
        self._normalise = RunningNormaliser(statistics)
        self._window, self._hop = frame_samples(self._rate)
        self._samples = np.zeros(0, np.float32)  # from the next frame on
        self._state: list[State] | None = None
        self._class, self._last = self._blank, list[int]()  # of the last step, and the last symbol written

    def feed(self, samples: Array) -> str:
        """The text goes on with this, now that the next `samples` ``(n,)`` have come: floats in −1…1.

        Raises ArgumentError.
        """
        if samples.ndim != 1 or samples.dtype.kind != "f":
            raise ArgumentError("samples", "floating point numbers (n,)", f"{samples.dtype} {samples.shape}")
        self._samples = np.concatenate([self._samples, samples])
        needed, at, text = self._window + (STACKED - 1) * self._hop, 0, ""
        while at + needed <= len(self._samples):
            text += self._step(self._samples[at : at + needed])
            at += STACKED * self._hop
        self._samples = self._samples[at:]
        return text

    def finish(self) -> str:
        """The text ends with this: nothing more comes."""
        rest, self._samples = self._samples, self._samples[:0]
        return self._step(rest) if len(rest) >= self._window or (self._state is None and len(rest)) else ""

    def _step(self, samples: Array) -> str:
        """What the frames of one step, or the last frame, add to the text."""
        frames = stacked(self._normalise(log_mel(samples, self._rate)))
        outputs, self._state = self._model.step(frames, self._state)
        before, self._class = self._class, int(outputs[0].argmax())
        if self._class in (before, self._blank):
            return ""
        last, self._last = self._last, [self._class]
        return self._vocabulary.decode(last + self._last).removeprefix(self._vocabulary.decode(last))
