"""A sequence model that says what is said in a recording, with what gives its outputs a meaning."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..base.checks import ArgumentError, check_count
from ..base.html import html_table
from ..base.parameters import Array
from ..losses.ctc import CTCLoss
from ..model.model_file import load_model, save_model
from ..model.sequence_model import SequenceModel
from ..text.ctc_decoding import ctc_greedy
from ..text.vocabularies import Vocabulary, vocabulary_config, vocabulary_from_config
from .heard import STEP_SIZE, BandStatistics, heard

__all__ = ["TRANSCRIBER", "Transcriber"]

TRANSCRIBER = "recurrio-transcriber-1"


class Transcriber:
    """`model` with the `vocabulary` of what it writes, and the `rate` of the recordings that it has learned from.

    The model reads what `heard` makes of a recording, and has one output a step: the symbols of the vocabulary, and
    behind them the blank of its `CTCLoss`. Sizes must agree. With `statistics` of what it has learned from, a recording
    is normalised as far as it has come, so that a `Listener` can write it down while it comes.

    ``history`` has the curves of its training, where somebody has put them there; they are not in its file.
    """

    history: Any = None

    def __init__(
        self, model: SequenceModel, vocabulary: Vocabulary, rate: int, statistics: BandStatistics | None = None
    ) -> None:
        network, blank = model.network, len(vocabulary)
        if not network.head.streams or not isinstance(network.loss, CTCLoss) or network.loss.blank != blank:
            expected = f"one that says a symbol at each step, with CTCLoss(blank={blank})"
            raise ArgumentError("model", expected, model.config)
        expected = f"{STEP_SIZE} features, and {blank} symbols and the blank"
        if (model.config["input_size"], network.output_size) != (STEP_SIZE, blank + 1):
            got = f"{model.config['input_size']} features and {network.output_size} outputs"
            raise ArgumentError("model", expected, got)
        self.model, self.vocabulary, self.rate = model, vocabulary, check_count("rate", rate)
        self.statistics = statistics

    def __repr__(self) -> str:
        symbols = f"{type(self.vocabulary).__name__} of {len(self.vocabulary)} symbols"
        return f"Transcriber({self.model!r}, {symbols}, rate={self.rate})"

    def _repr_html_(self) -> str:
        symbols = f"{self.vocabulary.kind}, {len(self.vocabulary):,} symbols"
        facts = [("vocabulary", symbols), ("rate", f"{self.rate:,} samples a second"), *self.model.facts()]
        return html_table("Transcriber", facts)

    def transcribe(self, samples: Array, rate: int) -> str:
        """What is said in `samples` ``(N,)``, floating point numbers in −1…1, of which there are `rate` a second.

        Raises ArgumentError: the rate is that of the recordings that the model has learned from.
        """
        if rate != self.rate:
            raise ArgumentError("rate", f"{self.rate:,} samples a second", rate)
        outputs, _ = self.model(heard(samples, rate, self.statistics)[:, None])
        return self.vocabulary.decode(ctc_greedy(outputs, blank=len(self.vocabulary))[0])

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write a safetensors file: weights under torch's names; configuration, vocabulary and rate as metadata.

        `training` is recorded beside them, as JSON; `parameters` are others than the model's own. Raises OSError.
        """
        parts = {"vocabulary": vocabulary_config(self.vocabulary), "rate": self.rate, "statistics": self.statistics}
        save_model(path, TRANSCRIBER, self.model, parts, training, parameters)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Transcriber:
        """Read what `save` wrote.

        Raises OSError, WeightsError where the file is something else, and ImportError where its vocabulary needs a
        package that is not there.
        """

        def make(weights: dict[str, Array], part: Callable[[str], Any]) -> Transcriber:
            vocabulary = vocabulary_from_config(part("vocabulary"))
            model = SequenceModel.from_config(part("model"))
            model.load_state_dict(weights)
            statistics = part("statistics")
            return cls(model, vocabulary, part("rate"), None if statistics is None else BandStatistics(*statistics))

        return load_model(path, TRANSCRIBER, "transcriber", make)
