"""An encoder–decoder that translates texts, with what gives the symbols that it reads and writes a meaning."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import ArgumentError, check_count
from ..base.html import html_table
from ..base.parameters import Array
from ..model.model_file import load_model, save_model
from ..model.padding import by_length, pad
from ..text.vocabularies import Vocabulary, vocabulary_config, vocabulary_from_config
from .decoding import beam as beam_search
from .decoding import greedy
from .encoder_decoder import EncoderDecoder

__all__ = ["TRANSLATOR", "Alignment", "Translated", "Translator"]

TRANSLATOR = "recurrio-translator-1"


class Translated(NamedTuple):
    """What a text is in the other language, and its ``score``: the mean logarithm of its symbols' probabilities.

    The end of the text counts as one of them.
    """

    text: str
    score: float


class Alignment(NamedTuple):
    """The symbols of a text, ``source``, and of its translation, ``target``, with the ``weights`` of attention.

    These are ``(S, T)``: a row says how much a symbol that was written has looked at each of those that were read.
    """

    source: list[str]
    target: list[str]
    weights: Array


class Translator:
    """`model` with the vocabularies of what it reads, `source`, and of what it writes, `target`. Sizes must agree.

    The model has one symbol more to write than `target` has, the last one, which stands in front of a text, and behind
    it. Up to `limit` symbols are written, the end among them.

    ``history`` has the curves of its training, where somebody has put them there; they are not in its file.
    """

    history: Any = None

    def __init__(self, model: EncoderDecoder, source: Vocabulary, target: Vocabulary, limit: int = 100) -> None:
        expected = f"{len(source)} symbols to read, and {len(target)} and the end to write"
        if (model.network.source_size, model.network.target_size) != (len(source), len(target) + 1):
            got = f"{model.network.source_size} to read and {model.network.target_size} to write"
            raise ArgumentError("model", expected, got)
        if not model.start == model.end == len(target):
            raise ArgumentError("model", f"{len(target)} for start and end", f"{model.start} and {model.end}")
        self.model, self.source, self.target = model, source, target
        self.limit = check_count("limit", limit)

    def __repr__(self) -> str:
        symbols = [f"{type(each).__name__} of {len(each)} symbols" for each in (self.source, self.target)]
        return f"Translator({self.model!r}, {', '.join(symbols)}, limit={self.limit})"

    def _repr_html_(self) -> str:
        kinds = {"source": self.source, "target": self.target}
        facts = [(name, f"{each.kind}, {len(each):,} symbols") for name, each in kinds.items()]
        return html_table("Translator", [*facts, ("limit", self.limit), *self.model.facts()])

    def translate(self, texts: Sequence[str], beam: int = 1) -> list[Translated]:
        """Each of `texts` in the other language: the best of `beam` beginnings that go on at a time.

        With a `beam` of 1 that is the likeliest symbol at each step. Raises ArgumentError, and FloatingPointError where
        the model's outputs are not finite.
        """
        beam = check_count("beam", beam)
        found = [Translated("", 0.0)] * len(texts)
        for rows, inputs, lengths in by_length([self.source.encode(text) for text in texts]):
            if beam == 1:
                sums = greedy(self.model, inputs, lengths, limit=self.limit)
                best = [each._replace(score=each.score / (len(each.symbols) + each.ended)) for each in sums]
            else:
                best = [lane[0] for lane in beam_search(self.model, inputs, lengths, width=beam, limit=self.limit)]
            for row, each in zip(rows.tolist(), best, strict=True):
                found[row] = Translated(self.target.decode(each.symbols), each.score)
        return found

    def align(self, text: str, written: str) -> Alignment:
        """What each symbol of `written`, a translation of `text`, has looked at there.

        Raises ArgumentError where the model has no attention.
        """
        read, wrote = self.source.encode(text), self.target.encode(written)
        weights = self.model.attention_weights(pad([read], 0), pad([wrote], 0), np.array([len(read)]))
        source = [self.source.decode([token]) for token in read]
        target = [self.target.decode([token]) for token in wrote]
        return Alignment(source, target, weights[0, : len(wrote), : len(read)])

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write a safetensors file: weights under torch's names; configuration and vocabularies as metadata.

        `training` is recorded beside them, as JSON; `parameters` are others than the model's own. Raises OSError.
        """
        parts = {
            "source": vocabulary_config(self.source),
            "target": vocabulary_config(self.target),
            "limit": self.limit,
        }
        save_model(path, TRANSLATOR, self.model, parts, training, parameters)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Translator:
        """Read what `save` wrote.

        Raises OSError, WeightsError where the file is something else, and ImportError where a vocabulary needs a
        package that is not there.
        """

        def make(weights: dict[str, Array], part: Callable[[str], Any]) -> Translator:
            source, target = (vocabulary_from_config(part(side)) for side in ("source", "target"))
            model = EncoderDecoder.from_config(part("model"))
            model.load_state_dict(weights)
            return cls(model, source, target, part("limit"))

        return load_model(path, TRANSLATOR, "translator", make)
