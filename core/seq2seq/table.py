"""All models of the core, by the name in their configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base.checks import ArgumentError
from ..model.sequence_model import SequenceModel
from .encoder_decoder import EncoderDecoder

__all__ = ["MODELS", "Model", "model_from_config"]

Model = SequenceModel | EncoderDecoder

MODELS: dict[str, type[Model]] = {"sequence": SequenceModel, "encoder_decoder": EncoderDecoder}


def model_from_config(config: Mapping[str, Any]) -> Model:
    """The model of a ``config``; one without a name in ``"model"`` is of a `SequenceModel`. Raises ArgumentError."""
    name = config.get("model", "sequence")
    if name not in MODELS:
        raise ArgumentError("model", f"one of {', '.join(MODELS)}", repr(name))
    return MODELS[name].from_config(config)
