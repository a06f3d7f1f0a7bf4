"""Beginning with the weights of another run, from the command line."""

from __future__ import annotations

import json
import os
from typing import Any

from ...core.model.sequence_model import SequenceModel
from ...core.online.encoder import Encoder
from ...core.online.record_model import RecordModel
from ...core.text.text_model import TextModel
from ...core.text.vocabularies import TextVocabulary
from .folder import model_path

__all__ = ["begin_with"]


def begin_with(named: str, model: SequenceModel, reads: Encoder | TextVocabulary) -> None:
    """Let `model`, which has learned nothing, have the weights of the model that is `named`, a file or its folder.

    `reads` is what gives its inputs a meaning; an encoder takes over the order of categories and classes too, as the
    weights are for that. Raises OSError, WeightsError, and ValueError where the two models are not alike.
    """
    path = model_path(named) if os.path.isdir(named) else named
    other: TextModel | RecordModel
    if isinstance(reads, Encoder):
        other = RecordModel.load(path)
        _check("records", other.encoder.schema.config, reads.schema.config)
    else:
        other = TextModel.load(path)
        names = [getattr(each, "characters", each.kind) for each in (other.vocabulary, reads)]
        if names[0] != names[1]:
            raise ValueError(f"--init {named}: has another vocabulary (--vocabulary {named} takes it)")
    _check("model", other.model.config, model.config)
    model.parameters[...] = other.model.parameters
    if isinstance(reads, Encoder) and isinstance(other, RecordModel):
        theirs = [*other.encoder.categories, other.encoder.classes]
        for table, known in zip([*reads.categories, reads.classes], theirs, strict=True):
            table.load({**table.dump(), "texts": known.texts})


def _check(what: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    wrong = [
        f"{name} {json.dumps(before.get(name))} there, {json.dumps(now.get(name))} here"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if wrong:
        raise ValueError(f"--init: expected a {what} like this one: {'; '.join(wrong)}")
