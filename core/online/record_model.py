"""A sequence model together with what the records taught it to read: what the file of a model for records holds."""

from __future__ import annotations

import json
import os
from typing import Any

from ..base.checks import ArgumentError
from ..base.html import html_table
from ..base.parameters import Array
from ..base.safetensors import WeightsError, load_weights, save_weights
from ..losses.interval import PARTS, IntervalLoss
from ..losses.loss import Loss
from ..model.sequence_model import SequenceModel
from .encoder import Encoder
from .learned import OF_ALL, Learned
from .schema import Schema

__all__ = ["FORMAT", "RecordModel", "outputs_of"]

FORMAT = "recurrio-records-1"


def outputs_of(encoder: Encoder, loss: Loss) -> int:
    """How many outputs a model has that is trained with this `loss`: with bounds three for each target."""
    return encoder.output_size * (PARTS if isinstance(loss, IntervalLoss) else 1)


class RecordModel:
    """`model` with the `encoder` that gives its inputs and outputs their meaning. Their sizes must agree.

    `learned` is what the encoder had learned with the last record that the model is trained on; it may know more.
    Where `fit` has made it, ``history`` has the curves of its training; they are not in its file.
    """

    history: Any = None

    def __init__(self, model: SequenceModel, encoder: Encoder, learned: Learned | None = None) -> None:
        sizes = model.network.stack.sizes[0].input_size, model.network.output_size
        outputs = outputs_of(encoder, model.network.loss)
        if model.vocabulary_size is not None or sizes != (encoder.input_size, outputs):
            expected = f"{encoder.input_size} inputs and {outputs} outputs"
            raise ArgumentError("model", expected, f"{sizes[0]} and {sizes[1]}")
        self.model, self.encoder, self.learned = model, encoder, learned

    def __repr__(self) -> str:
        return f"RecordModel({self.model!r}, {self.encoder.schema})"

    def _repr_html_(self) -> str:
        schema = self.encoder.schema
        says = ("label", schema.label) if schema.label is not None else ("target", ", ".join(map(str, schema.targets)))
        names = [("features", ", ".join(map(str, schema.features))), says, ("key", schema.key), ("time", schema.time)]
        fields = [(name, value) for name, value in names if value is not None]
        return html_table("RecordModel", [*fields, *self.model.facts()])

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write a safetensors file: weights under torch's names, and scales; schema and tables as metadata.

        The scales of single keys are not written: they are learned anew. `training` is recorded beside, as JSON, and
        `parameters` are others than the model's own. Raises OSError, and ArgumentError where nothing was learned.
        """
        if self.learned is None:
            raise ArgumentError("learned", "what the encoder has learned", None)
        learned = ((name, getattr(self.learned, name)) for name in OF_ALL)
        scales = {f"scales.{name}": array for name, array in learned if array is not None}
        about: dict[str, Any] = {
            "model": {**self.model.config, "seed": self.model.seed},
            "schema": self.encoder.schema.config,
            "encoder": {
                **self.encoder.texts(self.learned),
                "per_key": not scales,
                "clip": self.encoder.clip,
                "calendar": self.learned.weight,
            },
            "training": training or {},
        }
        metadata = {name: json.dumps(value) for name, value in about.items()}
        save_weights(path, {**self.model.state_dict(parameters), **scales}, {"format": FORMAT, **metadata})

    @classmethod
    def load(cls, path: str | os.PathLike[str], keys: int = 1 << 17) -> RecordModel:
        """Read what `save` wrote; `keys` is how many keys can have scales of their own, where that is how it learned.

        Raises OSError, or WeightsError where the file is something else.
        """
        arrays, metadata = load_weights(path)
        name = os.fspath(path)
        if metadata.get("format") != FORMAT:
            raise WeightsError(f"{name}: a safetensors file, but no model for records of recurrio")
        try:
            about = json.loads(metadata["encoder"])
            keys = keys if about["per_key"] else 0
            encoder = Encoder(Schema.of(**json.loads(metadata["schema"])), keys, clip=about["clip"])
            scales = [None if keys else arrays.pop(f"scales.{name}") for name in OF_ALL]
            tables = about["categories"]
            known = tuple(len(table["texts"]) for table in tables), tuple(bool(table["others"]) for table in tables)
            learned = Learned(scales[0], scales[1], scales[2], about["calendar"], *known, 0)
            encoder.fix(learned, about)
            model = SequenceModel.from_config(json.loads(metadata["model"]))
            model.load_state_dict(arrays)
            return cls(model, encoder, learned._replace(classes=encoder.known_classes))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"{name}: a damaged model for records: {error}") from error
