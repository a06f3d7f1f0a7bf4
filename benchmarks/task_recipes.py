"""The tasks that are measured beside PyTorch: their files, and how a model of each is made and trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recurrio.core import StepLR
from recurrio.pipeline import read_table
from recurrio.pipeline.tasks import TASKS

VADER = "https://github.com/cjhutto/vaderSentiment (MIT)"
TATOEBA = "https://github.com/modelexlab/data: Tatoeba's by www.manythings.org/anki (CC BY 2.0)"
FILES = {  # the columns that are needed, and where they come from
    "movies.tsv": ("text,label", f"8,571 sentences of reviews of {VADER}, positive where their valence is above 0"),
    "products.tsv": ("text,label", f"2,904 sentences of reviews of {VADER}, likewise"),
    "intents.tsv": ("text,intent", "7,000 requests, https://github.com/sonos/nlu-benchmark (CC0), 1,000 an intent"),
    "surnames.tsv": ("name,language", "14,416 surnames, https://github.com/spro/practical-pytorch (MIT)"),
    "en-fr.tsv": ("en,fr", f"20,000 pairs of 3 to 8 words, {TATOEBA}"),
    "en-fr-be.tsv": ("en,fr", f"9,566 pairs that begin with I am, he is …, {TATOEBA}"),
}


@dataclass(frozen=True)
class Recipe:
    """`model` are the options of the task's own `model`; the learning rate is times `gamma` after `cut` epochs."""

    model: dict[str, Any]
    epochs: int
    lr: float
    batch_size: int = 64
    cut: int = 0
    gamma: float = 0.25

    def schedule(self, per_epoch: int) -> StepLR | None:
        """That of the learning rate, if it changes."""
        return StepLR(self.lr, self.cut * per_epoch, self.gamma) if self.cut else None


@dataclass(frozen=True)
class Row:
    """A task of the rows of a file; `peer` is what PyTorch was found to do well with.

    `options` are those that the task's own recipe has besides what nobody sets.
    """

    name: str
    file: str
    task: str
    peer: Recipe
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def measure(self) -> str:
        """What its score is called."""
        return TASKS[self.task].measure

    def rows(self, path: Path) -> list[tuple[Any, ...]]:
        """What the file says."""
        return read_table(path, FILES[self.file][0].split(",")).rows

    @property
    def own(self) -> Recipe:
        """What the command does where nothing is set."""
        kind = TASKS[self.task]
        settings = dict(kind.settings)
        model = {"cell": settings.pop("cell", "lstm"), "hidden_size": settings.pop("hidden"), **kind.model}
        if "embedding" in settings:
            model["embedding_size"] = settings.pop("embedding")
        return Recipe(model | self.options, **settings)


def _classes(hidden: int, embedding: int, **options: Any) -> dict[str, Any]:  # noqa: ANN401 (of the model)
    return {"cell": "lstm", "hidden_size": hidden, "embedding_size": embedding, **options}


REVIEWS = Recipe(
    _classes(64, 64, output="mean", bidirectional=True, embedding_dropout=0.5, output_dropout=0.5), epochs=10, lr=2e-3
)
PLAIN, ATTENTION = (
    Recipe({"cell": "gru", "hidden_size": 192, "embedding_size": 96, "attention": attention}, epochs=8, lr=2e-3, cut=6)
    for attention in (None, "dot")
)

ROWS = [
    Row("movies", "movies.tsv", "classify", REVIEWS),
    Row("products", "products.tsv", "classify", REVIEWS),
    Row("intents", "intents.tsv", "classify", Recipe(_classes(64, 32, output="last"), epochs=4, lr=5e-3)),
    Row("surnames", "surnames.tsv", "classify", Recipe(_classes(128, 32, output="last"), epochs=8, lr=3e-3)),
    Row("en-fr", "en-fr.tsv", "translate", ATTENTION),
    Row("en-fr, no attention", "en-fr.tsv", "translate", PLAIN, {"attention": None}),
    Row("en-fr-be", "en-fr-be.tsv", "translate", ATTENTION),
    Row("en-fr-be, no attention", "en-fr-be.tsv", "translate", PLAIN, {"attention": None}),
]
