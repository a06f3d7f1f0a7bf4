"""The task of saying which class a text is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from ...core.losses.loss import CrossEntropyLoss
from ...core.model.padding import by_length
from ...core.model.sequence_model import SequenceModel
from ...core.text.text_classifier import TextClassifier
from ...core.text.vocabularies import learn_vocabulary
from ..lanes.ragged import RaggedBatches
from .dev import with_dev

__all__ = ["Classification"]

Pairs = Sequence[tuple[str, ...]]


class Classification:
    """Texts with their classes: `rows` ``(text, label)`` to be trained on, and `dev`, by which they are scored.

    Where `dev` is not given, it is every tenth of the rows. `symbols` is a name in `VOCABULARIES`; None is what suits
    the texts, see `likely_kind`. ``vocabulary`` and ``classes``, in the order of their code points, are those of the
    rows to be trained on, and ``about`` says in words what these are. ``dev_rows`` is how many there are to be scored
    by, and ``naive`` the accuracy there of whoever always says the commonest class. Raises ArgumentError where the rows
    are too few, or of one class.
    """

    def __init__(self, rows: Pairs, dev: Pairs | None = None, symbols: str | None = None) -> None:
        rows, dev = with_dev("rows", rows, dev)
        texts, labels = [text for text, _ in rows], [label for _, label in rows]
        self.classes = tuple(sorted(set(labels)))
        if len(self.classes) < 2 or not dev:
            got = f"{len(self.classes)} in {len(rows)} rows, and {len(dev)} rows"
            raise ArgumentError("rows", "two classes at least, and one row to score them by", got)
        self.vocabulary = learn_vocabulary(texts, symbols)
        self._inputs, self._targets = [self.vocabulary.encode(text) for text in texts], self._numbers(labels)
        self._dev_inputs = [self.vocabulary.encode(text) for text, _ in dev]
        self._dev_targets = self._numbers([label for _, label in dev])
        what = f"{self.vocabulary.kind}, {len(self.vocabulary):,} symbols, {len(self.classes):,} classes"
        self.about, self.dev_rows = f"{what}, {len(rows):,} rows", len(dev)
        self.naive = float(np.mean(self._dev_targets == np.bincount(self._targets).argmax()))

    def _numbers(self, labels: Sequence[str]) -> Array:
        """The numbers of the classes; −1 of one that there is none of."""
        numbers = {label: number for number, label in enumerate(self.classes)}
        return np.array([numbers.get(label, -1) for label in labels], np.int64)

    def model(self, **options: Any) -> SequenceModel:  # noqa: ANN401 (see below)
        """A model of the sizes of the vocabulary and the classes; `options` are those of `SequenceModel`.

        Where they do not say otherwise, it is an LSTM of 96 units that reads in both directions, with attention pooling
        and dropout, and a tenth of each label is spread over all classes, so that it is not too sure.
        """
        given = {
            "hidden_size": 96,
            "bidirectional": True,
            "output": "attention",
            "embedding_dropout": 0.3,
            "output_dropout": 0.3,
            "loss": CrossEntropyLoss(label_smoothing=0.1),
            **options,
        }
        return SequenceModel(len(self.vocabulary), output_size=len(self.classes), **given)

    def batches(self, batch_size: int = 64, *, epochs: int | None = 1, seed: int = 0) -> RaggedBatches:
        """The rows to be trained on."""
        return RaggedBatches(self._inputs, self._targets, batch_size, epochs=epochs, seed=seed)

    def score(self, model: SequenceModel) -> float:
        """The accuracy of `model`: how many of the rows that it is scored by it is right about, of all."""
        right = 0
        for rows, inputs, lengths in by_length(self._dev_inputs):
            outputs, _ = model(inputs, lengths=lengths)
            right += int(np.count_nonzero(outputs[0].argmax(axis=1) == self._dev_targets[rows]))
        return right / len(self._dev_targets)

    def trained(self, model: SequenceModel) -> TextClassifier:
        """What is kept of `model`: with the vocabulary and the classes."""
        return TextClassifier(model, self.vocabulary, self.classes)
