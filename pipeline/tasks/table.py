"""The tasks by their names. A further one is a file, and a row here."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...core.audio.transcriber import TRANSCRIBER, Transcriber
from ...core.base.parameters import Array
from ...core.seq2seq.translator import TRANSLATOR, Translator
from ...core.text.text_classifier import CLASSIFIER, TextClassifier
from ..decoding.block import Reject
from ..decoding.table import Column, Table
from ..lanes.ragged import RaggedBatches
from .classification import Classification
from .rows import ask_rows, read_rows
from .speech import ask_recordings, read_speech
from .transcription import Transcription
from .translation import Translation

__all__ = ["TASKS", "Kept", "Task", "TaskKind", "kind_of_format"]


class Kept(Protocol):
    """What is kept of a model: with all that gives it a meaning."""

    model: Any

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write it to `path`, with what is said of its training, and other parameters if there are."""
        ...


class Task(Protocol):
    """Rows to be trained on, and ``dev_rows`` of them to be scored by; ``naive`` is the score without any model.

    ``about`` says in words what they are.
    """

    about: str
    dev_rows: int
    naive: float

    def model(self, **options: Any) -> Any:  # noqa: ANN401 (of the model)
        """A model for them, new."""
        ...

    def batches(self, batch_size: int, *, epochs: int | None, seed: int) -> RaggedBatches:
        """The rows to be trained on."""
        ...

    def score(self, model: Any) -> float:  # noqa: ANN401 (as above)
        """How good `model` is: the higher the better."""
        ...

    def trained(self, model: Any) -> Kept:  # noqa: ANN401 (as above)
        """What is kept of `model`."""
        ...


@dataclass(frozen=True)
class TaskKind:
    """What the command asks of a task.

    - ``about``: what it is to find out.
    - ``columns``: those of a row, by the options that name them, and what they are; the first is what is read, and the
      others are what is to be said of it.
    - ``read``: reads the rows of a source, as `read_rows` does; ``ask``: brings those that a model is asked about, as
      they come, as `ask_rows` does.
    - ``make``: makes a `Task` of rows, of those to be scored by or None, and of the kind of symbols or None.
    - ``measure``, ``naive``: what a score is called, and the naive answer that it stands beside, in words.
    - ``format``, ``load``: that of the file of what is kept, and what reads it.
    - ``says``, ``answers``: the names of what is said of a row, and what says that of each of some inputs.
    - ``settings``: what is not given on the command line.
    """

    about: str
    columns: Mapping[str, str]
    make: Callable[[Any, Any, str | None], Task]
    measure: str
    naive: str
    format: str
    load: Callable[[str | os.PathLike[str]], Kept]
    says: tuple[str, ...]
    answers: Callable[[Any, list[Any]], list[tuple[Any, ...]]]
    settings: Mapping[str, Any]
    read: Callable[[str, Sequence[Column], str | None], Awaitable[tuple[Any, list[Reject]]]] = read_rows
    ask: Callable[[Any, str, Sequence[Column], str | None], AsyncGenerator[Table, None]] = ask_rows


TASKS: dict[str, TaskKind] = {
    "classify": TaskKind(
        about="which class a text is of",
        columns={"text": "of the texts", "label": "of their classes"},
        make=Classification,
        measure="accuracy",
        naive="majority",
        format=CLASSIFIER,
        load=TextClassifier.load,
        says=("prediction", "probability"),
        answers=lambda kept, texts: [tuple(one) for one in kept.predict(texts)],
        settings={"hidden": 96, "embedding": 64, "batch_size": 64, "epochs": 8, "lr": 0.003},
    ),
    "translate": TaskKind(
        about="what a sentence is in another language",
        columns={"from": "of the sentences", "to": "of what they are in the other language"},
        make=Translation,
        measure="BLEU",
        naive="copied",
        format=TRANSLATOR,
        load=Translator.load,
        says=("prediction",),
        answers=lambda kept, texts: [(one.text,) for one in kept.translate(texts)],
        # An encoder–decoder has one rank, so that its second processor has a second shard.
        settings={"cell": "gru", "hidden": 192, "embedding": 96}
        | {"batch_size": 64, "epochs": 12, "lr": 0.002, "shards": 2},
    ),
    "transcribe": TaskKind(
        about="what is said in recordings, WAV files in a folder named LABEL_….wav, or in a table with path and text",
        columns={},
        make=Transcription,
        measure="accuracy",
        naive="silence",
        format=TRANSCRIBER,
        load=Transcriber.load,
        says=("prediction",),
        answers=lambda kept, samples: [(kept.transcribe(one, kept.rate),) for one in samples],
        settings={"hidden": 64, "batch_size": 16, "epochs": 25, "lr": 0.004},
        read=read_speech,
        ask=ask_recordings,
    ),
}


def kind_of_format(name: str | None) -> TaskKind | None:
    """The task of the model whose file is of this format; None where it is of none."""
    return next((kind for kind in TASKS.values() if kind.format == name), None)
