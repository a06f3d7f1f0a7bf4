"""The tasks that are measured beside PyTorch: their files, and how a model of each is made and trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digit_tasks import DigitClasses, DigitStrings, read_takes

from recurrio.core import CrossEntropyLoss, StepLR
from recurrio.pipeline import Transcription, read_table
from recurrio.pipeline.tasks import TASKS
from recurrio.pipeline.tasks.dev import every_tenth

VADER = "https://github.com/cjhutto/vaderSentiment (MIT)"
TATOEBA = "https://github.com/modelexlab/data: Tatoeba's by www.manythings.org/anki (CC BY 2.0)"
DIGITS = "0_jackson_0.wav"
FILES = {  # the columns that are needed, and where they come from
    "movies.tsv": ("text,label", f"8,571 sentences of reviews of {VADER}, positive where their valence is above 0"),
    "products.tsv": ("text,label", f"2,904 sentences of reviews of {VADER}, likewise"),
    "intents.tsv": ("text,intent", "7,000 requests, https://github.com/sonos/nlu-benchmark (CC0), 1,000 an intent"),
    "surnames.tsv": ("name,language", "14,416 surnames, https://github.com/spro/practical-pytorch (MIT)"),
    "en-fr.tsv": ("en,fr", f"20,000 pairs of 3 to 8 words, {TATOEBA}"),
    "en-fr-be.tsv": ("en,fr", f"9,566 pairs that begin with I am, he is …, {TATOEBA}"),
    DIGITS: (
        "all takes of jackson, nicolas and theo",
        "https://github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0)",
    ),
}


@dataclass(frozen=True)
class Recipe:
    """`model` are the options of the task's own `model`; the learning rate is times `gamma` after `cut` epochs."""

    model: dict[str, Any]
    epochs: int
    lr: float
    batch_size: int = 64
    shards: int = 1
    cut: int = 0
    gamma: float = 0.25

    def schedule(self, per_epoch: int) -> StepLR | None:
        """That of the learning rate, if it changes."""
        return StepLR(self.lr, self.cut * per_epoch, self.gamma) if self.cut else None


def _rows(path: Path, columns: list[str]) -> tuple[Any, Any]:
    return every_tenth(read_table(path, columns).rows)


def _takes(path: Path, columns: list[str]) -> tuple[Any, Any]:
    return read_takes(path.parent)


@dataclass(frozen=True)
class Row:
    """A task of a file; `peer` is what PyTorch was found to do well with.

    `read` makes of the file what is trained on, and what it is scored by; `make` a task of these, and `make_own`
    another one for us alone. `options` are those that our own recipe has besides what nobody sets.
    """

    name: str
    file: str
    task: str
    peer: Recipe
    options: dict[str, Any] = field(default_factory=dict)
    measure: str = "accuracy"
    read: Callable[[Path, list[str]], tuple[Any, Any]] = _rows
    make: Callable[[Any, Any], Any] | None = None
    make_own: Callable[[Any, Any], Any] | None = None

    def parts(self, path: Path) -> tuple[Any, Any]:
        """What is trained on, and what it is scored by."""
        return self.read(path, FILES[self.file][0].split(","))

    def opened(self, train: Any, dev: Any, *, own: bool) -> Any:  # noqa: ANN401 (rows or recordings; a task)
        """The task of these."""
        make = (self.make_own if own else None) or self.make
        return TASKS[self.task].make(train, dev, None) if make is None else make(train, dev)

    @property
    def own(self) -> Recipe:
        """What the command does where nothing is set."""
        kind = TASKS[self.task]
        settings = dict(kind.settings)
        model = {"cell": settings.pop("cell", "lstm"), "hidden_size": settings.pop("hidden")}
        if "embedding" in settings:
            model["embedding_size"] = settings.pop("embedding")
        return Recipe(model | self.options, **settings)


def _classes(hidden: int, embedding: int, **options: Any) -> dict[str, Any]:  # noqa: ANN401 (of the model)
    plain = {"bidirectional": False, "embedding_dropout": 0.0, "output_dropout": 0.0, "loss": CrossEntropyLoss()}
    return {"cell": "lstm", "hidden_size": hidden, "embedding_size": embedding, **plain, **options}


REVIEWS = Recipe(
    _classes(64, 64, output="mean", bidirectional=True, embedding_dropout=0.5, output_dropout=0.5), epochs=10, lr=2e-3
)
PLAIN, ATTENTION = (
    Recipe({"cell": "gru", "hidden_size": 192, "embedding_size": 96, "attention": attention}, epochs=8, lr=2e-3, cut=6)
    for attention in (None, "dot")
)

DIGIT = Recipe(
    {"cell": "lstm", "hidden_size": 64, "output": "last"}, epochs=25, lr=3e-3, batch_size=36, cut=19, gamma=0.2
)
STRINGS = Recipe(
    {"cell": "lstm", "hidden_size": 64, "bidirectional": True, "output_dropout": 0.0}, epochs=25, lr=4e-3, batch_size=16
)


ROWS = [
    Row("movies", "movies.tsv", "classify", REVIEWS),
    Row("products", "products.tsv", "classify", REVIEWS),
    Row("intents", "intents.tsv", "classify", Recipe(_classes(64, 32, output="last"), epochs=4, lr=5e-3)),
    Row("surnames", "surnames.tsv", "classify", Recipe(_classes(128, 32, output="last"), epochs=8, lr=3e-3)),
    Row("en-fr", "en-fr.tsv", "translate", ATTENTION, measure="BLEU"),
    Row("en-fr, no attention", "en-fr.tsv", "translate", PLAIN, {"attention": None}, "BLEU"),
    Row("en-fr-be", "en-fr-be.tsv", "translate", ATTENTION, measure="BLEU"),
    Row("en-fr-be, no attention", "en-fr-be.tsv", "translate", PLAIN, {"attention": None}, "BLEU"),
    Row("digits", DIGITS, "transcribe", DIGIT, read=_takes, make=DigitClasses, make_own=Transcription),
    Row("strings of digits", DIGITS, "transcribe", STRINGS, {}, "error rate", _takes, DigitStrings),
]
