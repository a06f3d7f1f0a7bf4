"""The task of saying what a sentence is in another language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from ...core.seq2seq.encoder_decoder import EncoderDecoder
from ...core.seq2seq.translator import Translator
from ...core.text.bleu import bleu
from ...core.text.vocabularies import learn_vocabulary, words_of
from ..lanes.ragged import RaggedBatches
from .dev import with_dev

__all__ = ["Translation"]

Pairs = Sequence[tuple[str, ...]]


class Translation:
    """Sentences with what they are in another language: `rows` ``(source, target)``, and `dev`, which scores them.

    Where `dev` is not given, it is every tenth of the rows. `symbols` is a name in `VOCABULARIES`; None is what suits
    the texts of each language, see `likely_kind`. The vocabularies ``source`` and ``target`` are those of the rows to
    be trained on, and so is ``limit``, the symbols of the longest target, with its end. Raises ArgumentError where
    there are too few rows.
    """

    def __init__(self, rows: Pairs, dev: Pairs | None = None, symbols: str | None = None) -> None:
        rows, dev = with_dev("rows", rows, dev)
        if not rows or not dev:
            got = f"{len(rows)} and {len(dev)}"
            raise ArgumentError("rows", "one row to be trained on, and one to score them by", got)
        sources, targets = [source for source, _ in rows], [target for _, target in rows]
        self.source, self.target = learn_vocabulary(sources, symbols), learn_vocabulary(targets, symbols)
        self._inputs = [self.source.encode(text) for text in sources]
        self._targets = [self._ended(text) for text in targets]
        self.limit = max(map(len, self._targets))
        self._dev_sources = [source for source, _ in dev]
        self._dev_words = [words_of(target) for _, target in dev]

    def _ended(self, text: str) -> Array:
        """The symbols of a target, and the end behind them."""
        return np.append(self.target.encode(text), np.int32(len(self.target)))

    def model(self, **options: Any) -> EncoderDecoder:  # noqa: ANN401 (see below)
        """A model of the sizes of the vocabularies; `options` are those of `EncoderDecoder`.

        Where they do not say otherwise, it has 96 numbers an embedding, 192 units, and dot attention; general attention
        where its encoder reads in both directions.
        """
        attention = "general" if options.get("bidirectional") else "dot"
        given = {"embedding_size": 96, "hidden_size": 192, "attention": attention, **options}
        end = len(self.target)
        return EncoderDecoder(len(self.source), end + 1, start=end, end=end, **given)

    def batches(self, batch_size: int = 64, *, epochs: int | None = 1, seed: int = 0) -> RaggedBatches:
        """The rows to be trained on."""
        return RaggedBatches(self._inputs, self._targets, batch_size, epochs=epochs, seed=seed)

    def score(self, model: EncoderDecoder) -> float:
        """The BLEU of `model`, from 0 to 100: of the words, see `words_of`, that it writes, and of those of the rows.

        It takes the likeliest symbol at each step.
        """
        written = self.trained(model).translate(self._dev_sources)
        return bleu([words_of(each.text) for each in written], self._dev_words)

    def trained(self, model: EncoderDecoder) -> Translator:
        """What is kept of `model`: with the vocabularies."""
        return Translator(model, self.source, self.target, self.limit)
