"""The task of saying what is said in a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.audio.heard import STEP_SIZE, BandStatistics, heard
from ...core.audio.log_mel import log_mel
from ...core.audio.transcriber import Transcriber
from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from ...core.losses.ctc import CTCLoss
from ...core.model.padding import by_length
from ...core.model.sequence_model import SequenceModel
from ...core.text.ctc_decoding import ctc_greedy
from ...core.text.edit_distance import edit_distance
from ...core.text.vocabularies import learn_vocabulary
from ..decoding.recordings import Recordings
from ..lanes.ragged import RaggedBatches
from .dev import with_dev

__all__ = ["Transcription"]


class Transcription:
    """Recordings with what is said in them: `recordings` to be trained on, and `dev`, by which they are scored.

    Where `dev` is not given, it is every tenth of the recordings. `symbols` is a name in `VOCABULARIES`; None is what
    suits the texts, see `likely_kind`. The ``vocabulary`` is that of the recordings to be trained on, and ``rate``
    theirs; ``about`` says in words what they are. ``dev_rows`` is how many score it, and ``naive`` the score of whoever
    writes nothing. With `streaming` a recording is normalised as far as it has come, by ``statistics`` to begin with,
    for a model that a `Listener` can use. Raises ArgumentError where there are too few recordings, or without texts,
    and where `dev` has another rate.
    """

    def __init__(
        self,
        recordings: Recordings,
        dev: Recordings | None = None,
        symbols: str | None = None,
        *,
        streaming: bool = False,
    ) -> None:
        if dev is not None and dev.rate != recordings.rate:
            raise ArgumentError("dev", f"recordings of {recordings.rate:,} samples a second", f"{dev.rate:,}")
        rows, others = with_dev("recordings", _rows(recordings), None if dev is None else _rows(dev))
        texts = [text for _, text in rows]
        self.rate, self.vocabulary = recordings.rate, learn_vocabulary(texts, symbols)
        self._targets = [self.vocabulary.encode(text) for text in texts]
        self._dev_targets = [self._known(text) for _, text in others]
        if not any(map(len, self._targets)) or not any(map(len, self._dev_targets)):
            got = f"{len(rows)} and {len(others)} recordings"
            raise ArgumentError("recordings", "texts to be trained on, and to score them by", got)
        what = f"{self.vocabulary.kind}, {len(self.vocabulary):,} symbols"
        self.about, self.dev_rows, self.naive = f"{what}, {len(rows):,} recordings", len(others), 0.0
        self.statistics: BandStatistics | None = None
        if streaming:
            self.statistics = BandStatistics.of([log_mel(samples, self.rate) for samples, _ in rows])
        self._inputs = [self._heard(samples) for samples, _ in rows]
        self._dev_inputs = [self._heard(samples) for samples, _ in others]

    def _heard(self, samples: Array) -> Array:
        return heard(samples, self.rate, self.statistics)

    def _known(self, text: str) -> Array:
        """The symbols of a text; −1 in place of those that there are none of."""
        tokens = self.vocabulary.encode(text)
        return np.where(tokens == 0, -1, tokens)

    def sequences(self, recordings: Recordings) -> tuple[list[Array], list[Array]]:
        """What a model reads of `recordings`, ``(T, 80)`` each, and the symbols of their texts: to be trained on."""
        inputs = [self._heard(samples) for samples in recordings.samples]
        return inputs, [self.vocabulary.encode(text) for text in recordings.texts]

    def model(self, **options: Any) -> SequenceModel:  # noqa: ANN401 (see below)
        """A model of the sizes of what it hears and of the vocabulary; `options` are those of `SequenceModel`.

        Where they do not say otherwise, it is an LSTM of 64 units that reads in both directions, or one if streaming.
        """
        blank = len(self.vocabulary)
        given = {"hidden_size": 64, "bidirectional": self.statistics is None, "loss": CTCLoss(blank=blank), **options}
        return SequenceModel(input_size=STEP_SIZE, output_size=blank + 1, **given)

    def batches(self, batch_size: int = 16, *, epochs: int | None = 1, seed: int = 0) -> RaggedBatches:
        """The recordings to be trained on."""
        return RaggedBatches(self._inputs, self._targets, batch_size, epochs=epochs, seed=seed)

    def score(self, model: SequenceModel) -> float:
        """One less the error rate of `model`: the edit distance of what it writes, over the number of symbols.

        Where it writes more than there is, that can be below 0.
        """
        wrong = 0
        for rows, inputs, lengths in by_length(self._dev_inputs):
            outputs, _ = model(inputs, lengths=lengths)
            written = ctc_greedy(outputs, lengths, len(self.vocabulary))
            wrong += sum(edit_distance(each, self._dev_targets[row]) for row, each in zip(rows, written, strict=True))
        return 1 - wrong / sum(map(len, self._dev_targets))

    def trained(self, model: SequenceModel) -> Transcriber:
        """What is kept of `model`: with the vocabulary, the rate, and what it begins to hear with."""
        return Transcriber(model, self.vocabulary, self.rate, self.statistics)


def _rows(recordings: Recordings) -> Sequence[tuple[Array, str]]:
    return [*zip(recordings.samples, recordings.texts, strict=True)]
