"""The tasks of spoken digits: which digit a recording is, and which ones a string of them has."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from recurrio.core import CrossEntropyLoss, SequenceModel, log_mel, normalise_utterance
from recurrio.core.audio.log_mel import BANDS
from recurrio.core.model.padding import by_length
from recurrio.pipeline import FreshBatches, RaggedBatches, Transcription
from recurrio.pipeline.decoding.recordings import Recordings

sys.path.append(str(Path(__file__).parent.parent / "examples" / "digits"))

from strings import DEV_SEED, DEV_STRINGS, make_strings, read_takes, string_batches

__all__ = ["DigitClasses", "DigitStrings", "read_takes"]


class DigitClasses:
    """Recordings of one digit each, `train` and `dev`: a class for each, of the features of 10 ms."""

    def __init__(self, train: Recordings, dev: Recordings) -> None:
        self.classes = sorted(set(train.texts))
        (self._inputs, self._targets), (self._dev_inputs, self._dev_targets) = map(self._read, (train, dev))

    def _read(self, recordings: Recordings) -> tuple[list[np.ndarray], np.ndarray]:
        features = [normalise_utterance(log_mel(samples, recordings.rate)) for samples in recordings.samples]
        return features, np.array([self.classes.index(text) for text in recordings.texts])

    def model(self, **options: Any) -> SequenceModel:  # noqa: ANN401 (of the model)
        """A model for them; `options` are those of `SequenceModel`."""
        return SequenceModel(input_size=BANDS, output_size=len(self.classes), loss=CrossEntropyLoss(), **options)

    def batches(self, batch_size: int, *, epochs: int, seed: int) -> RaggedBatches:
        """Those to be trained on."""
        return RaggedBatches(self._inputs, self._targets, batch_size, epochs=epochs, seed=seed)

    def score(self, model: Any) -> float:  # noqa: ANN401 (whatever is called as a model is)
        """The accuracy."""
        right = 0
        for rows, inputs, lengths in by_length(self._dev_inputs):
            outputs, _ = model(inputs, lengths=lengths)
            right += int(np.count_nonzero(outputs[0].argmax(axis=1) == self._dev_targets[rows]))
        return right / len(self._dev_targets)


class DigitStrings(Transcription):
    """Strings of recordings of one digit each: new ones in each epoch, and always the same ones of `dev`."""

    def __init__(self, train: Recordings, dev: Recordings) -> None:
        super().__init__(train, make_strings(dev, DEV_STRINGS, DEV_SEED))
        self._train = train

    def batches(self, batch_size: int = 16, *, epochs: int | None = 1, seed: int = 0) -> FreshBatches:
        """Those to be trained on."""
        return string_batches(self, self._train, batch_size, epochs=epochs or 1, seed=seed)
