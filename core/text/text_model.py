"""A sequence model together with its vocabulary: what a model's file holds, and what writes text."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..base.checks import ArgumentError, check_count, check_number
from ..base.html import html_table
from ..base.parameters import Array
from ..model.model_file import load_model, save_model
from ..model.sequence_model import SequenceModel
from .vocabularies import ByteVocabulary, CharVocabulary, TextVocabulary, vocabulary_config, vocabulary_from_config

__all__ = ["FORMAT", "TextModel"]

FORMAT = "recurrio-text-1"


class TextModel:
    """`model` with the `vocabulary` that gives its tokens their meaning. Their sizes must agree.

    Where `fit` has made it, ``history`` has the curves of its training; they are not in its file.
    """

    history: Any = None

    def __init__(self, model: SequenceModel, vocabulary: TextVocabulary) -> None:
        if not model.network.head.streams or model.network.output_size != model.vocabulary_size:
            raise ArgumentError("model", "one that predicts the next token", model.config)
        if not isinstance(vocabulary, TextVocabulary):
            raise ArgumentError("vocabulary", "characters or bytes", type(vocabulary).__name__)
        if isinstance(vocabulary, CharVocabulary) and not vocabulary.characters[1:]:
            raise ArgumentError("vocabulary", "at least one character", "none")
        if model.vocabulary_size != len(vocabulary):
            raise ValueError(f"vocabulary: expected {model.vocabulary_size} symbols, got {len(vocabulary)}")
        self.model, self.vocabulary = model, vocabulary

    def __repr__(self) -> str:
        return f"TextModel({self.model!r}, {type(self.vocabulary).__name__} of {len(self.vocabulary)} symbols)"

    def _repr_html_(self) -> str:
        symbols = f"{self.vocabulary.kind}, {len(self.vocabulary):,} symbols"
        return html_table("TextModel", [("vocabulary", symbols), *self.model.facts()])

    @property
    def vocabulary_config(self) -> dict[str, str]:
        """The vocabulary as plain JSON."""
        return vocabulary_config(self.vocabulary)

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write a safetensors file: weights under torch's names; configuration and vocabulary as metadata.

        `training` is recorded beside them, as JSON; `parameters` are others than the model's own. Raises OSError.
        """
        parts = {"vocabulary": self.vocabulary_config}
        save_model(path, FORMAT, self.model, parts, training, parameters)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextModel:
        """Read what `save` wrote. Raises OSError, or WeightsError where the file is something else."""

        def make(weights: dict[str, Array], part: Callable[[str], Any]) -> TextModel:
            vocabulary = vocabulary_from_config(part("vocabulary"))
            model = SequenceModel.from_config(part("model"))
            model.load_state_dict(weights)
            return cls(model, vocabulary)  # type: ignore[arg-type]  # which says no to others

        return load_model(path, FORMAT, "text model", make)

    def generate(
        self, prompt: str | bytes, length: int, *, temperature: float = 1.0, rng: np.random.Generator
    ) -> Iterator[str]:
        """Write on from `prompt`: yield `length` symbols as text, each drawn from what the model expects next.

        `temperature` divides the logits; 0 takes the likeliest. An empty prompt starts from a line break. With a
        byte vocabulary the bytes of one character come out together, and those that are none as U+FFFD. Raises
        FloatingPointError where what the model expects is not finite.
        """
        tokens = self._tokens(prompt, length, temperature, rng)
        if isinstance(self.vocabulary, CharVocabulary):
            for token in tokens:
                yield self.vocabulary.decode([token])
            return
        encoding = self.vocabulary.encoding or "utf-8"
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        decoder.decode("".encode(encoding))  # the mark that utf-16 begins with
        for token in tokens:
            if text := decoder.decode(bytes([token])):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text

    def generate_bytes(
        self, prompt: str | bytes, length: int, *, temperature: float = 1.0, rng: np.random.Generator
    ) -> Iterator[bytes]:
        """As `generate`, but each byte as it is. Raises ArgumentError where the symbols are no bytes."""
        if not isinstance(self.vocabulary, ByteVocabulary):
            raise ArgumentError("vocabulary", "bytes", self.vocabulary.kind)
        return (bytes([token]) for token in self._tokens(prompt, length, temperature, rng))

    def _tokens(self, prompt: str | bytes, length: int, temperature: float, rng: np.random.Generator) -> Iterator[int]:
        length = check_count("length", length, 0)
        temperature = check_number("temperature", temperature, 0)
        model, state = self.model, None
        if isinstance(self.vocabulary, ByteVocabulary):
            tokens = self.vocabulary.encode(prompt or "\n")
        else:
            if isinstance(prompt, bytes):
                raise ArgumentError("prompt", "a string, as the symbols are characters", "bytes")
            tokens = self.vocabulary.encode(prompt or "\n")
        for token in tokens[:-1]:
            _, state = model.step(np.array([token]), state)
        token = tokens[-1]
        for _ in range(length):
            outputs, state = model.step(np.array([token]), state)
            logits = outputs[0].astype(float)
            if not np.isfinite(logits).all():
                raise FloatingPointError("the model's outputs are not finite; nothing can be written with it")
            if isinstance(self.vocabulary, CharVocabulary):
                logits[0] = -np.inf  # never write the stand-in for unknown characters
            if temperature == 0:
                token = np.argmax(logits)
            else:
                with np.errstate(over="ignore"):  # so cold that all but the likeliest are out of reach
                    chances = np.exp((logits - logits.max()) / temperature)
                token = rng.choice(len(chances), p=chances / chances.sum())
            yield int(token)
