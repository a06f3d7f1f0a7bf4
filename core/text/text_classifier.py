"""A sequence model that says which class a text is of, with what gives its tokens and its outputs a meaning."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import ArgumentError
from ..base.html import html_table
from ..base.parameters import Array
from ..losses.loss import CrossEntropyLoss
from ..model.batch import SequenceBatch
from ..model.model_file import load_model, save_model
from ..model.padding import by_length, pad
from ..model.sequence_model import SequenceModel
from .vocabularies import Vocabulary, vocabulary_config, vocabulary_from_config

__all__ = ["CLASSIFIER", "Prediction", "TextClassifier"]

CLASSIFIER = "recurrio-classifier-1"


class Prediction(NamedTuple):
    """The likeliest ``label``, and its ``probability`` by the model."""

    label: str
    probability: float


class TextClassifier:
    """`model` with the `vocabulary` of what it reads, and the `classes` that its outputs are of. Sizes must agree.

    ``history`` has the curves of its training, where somebody has put them there; they are not in its file.
    """

    history: Any = None

    def __init__(self, model: SequenceModel, vocabulary: Vocabulary, classes: Iterable[str]) -> None:
        classes = tuple(classes)
        if model.network.head.streams or not isinstance(model.network.loss, CrossEntropyLoss):
            raise ArgumentError("model", "one that says a class of each sequence", model.config)
        expected = f"{len(vocabulary)} symbols and {len(classes)} classes"
        got = f"{model.vocabulary_size} symbols and {model.network.output_size} classes"
        if got != expected:
            raise ArgumentError("model", expected, got)
        self.model, self.vocabulary, self.classes = model, vocabulary, classes

    def __repr__(self) -> str:
        symbols = f"{type(self.vocabulary).__name__} of {len(self.vocabulary)} symbols"
        return f"TextClassifier({self.model!r}, {symbols}, {len(self.classes)} classes)"

    def _repr_html_(self) -> str:
        symbols = f"{self.vocabulary.kind}, {len(self.vocabulary):,} symbols"
        facts = [("vocabulary", symbols), ("classes", f"{len(self.classes):,}"), *self.model.facts()]
        return html_table("TextClassifier", facts)

    def probabilities(self, texts: Sequence[str]) -> Array:
        """The probability ``(N, C)`` of each class, float64, for each of `texts`."""
        found = np.empty((len(texts), len(self.classes)))
        for rows, inputs, lengths in by_length([self.vocabulary.encode(text) for text in texts]):
            outputs, _ = self.model(inputs, lengths=lengths)
            logits = outputs[0].astype(np.float64)
            found[rows] = np.exp(logits - logits.max(axis=1, keepdims=True))
        found /= found.sum(axis=1, keepdims=True)
        return found

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """The likeliest class of each of `texts`; of equals the first."""
        found = self.probabilities(texts)
        likeliest = found.argmax(axis=1).tolist()
        return [Prediction(self.classes[place], float(row[place])) for place, row in zip(likeliest, found, strict=True)]

    def batch(self, rows: Sequence[tuple[str, str]]) -> SequenceBatch:
        """The texts of `rows` ``(text, label)``, one at least, with their classes: for its model to be trained on.

        Raises ArgumentError, also for a label that is none of the classes.
        """
        for _, label in rows:
            if label not in self.classes:
                raise ArgumentError("rows", f"labels of {', '.join(self.classes)}", repr(label))
        inputs = [self.vocabulary.encode(text) for text, _ in rows]
        targets = np.array([[self.classes.index(label) for _, label in rows]])
        return SequenceBatch(pad(inputs, 0), targets, reset=True, lengths=np.array([len(one) for one in inputs]))

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write a safetensors file: weights under torch's names; configuration, vocabulary and classes as metadata.

        `training` is recorded beside them, as JSON; `parameters` are others than the model's own. Raises OSError.
        """
        parts = {"vocabulary": vocabulary_config(self.vocabulary), "classes": self.classes}
        save_model(path, CLASSIFIER, self.model, parts, training, parameters)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextClassifier:
        """Read what `save` wrote.

        Raises OSError, WeightsError where the file is something else, and ImportError where its vocabulary needs a
        package that is not there.
        """

        def make(weights: dict[str, Array], part: Callable[[str], Any]) -> TextClassifier:
            vocabulary = vocabulary_from_config(part("vocabulary"))
            model = SequenceModel.from_config(part("model"))
            model.load_state_dict(weights)
            return cls(model, vocabulary, part("classes"))

        return load_model(path, CLASSIFIER, "classifier", make)
