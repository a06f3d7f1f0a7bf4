"""The file of a model with what gives its inputs and outputs a meaning."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..base.parameters import Array
from ..base.safetensors import WeightsError, load_weights, save_weights

__all__ = ["load_model", "save_model"]

T = TypeVar("T")


def save_model(
    path: str | os.PathLike[str],
    form: str,
    model: Any,  # noqa: ANN401 (a SequenceModel or an EncoderDecoder)
    parts: Mapping[str, object],
    training: Mapping[str, object] | None,
    parameters: Array | None,
) -> None:
    """Write the weights under torch's names, and as metadata the `form`, the configuration, the `parts` and `training`.

    `parameters` are others than the model's own. Raises OSError.
    """
    about = {"model": {**model.config, "seed": model.seed}, **parts, "training": training or {}}
    metadata = {name: json.dumps(value) for name, value in about.items()}
    save_weights(path, model.state_dict(parameters), {"format": form, **metadata})


def load_model(
    path: str | os.PathLike[str], form: str, what: str, make: Callable[[dict[str, Array], Callable[[str], Any]], T]
) -> T:
    """What `make` makes of the weights, and of what it asks for of the metadata, in a file of this `form`.

    Raises OSError, and WeightsError where the file is no such `what`, or damaged.
    """
    weights, metadata = load_weights(path)
    name = os.fspath(path)
    if metadata.get("format") != form:
        raise WeightsError(f"{name}: a safetensors file, but no {what} of recurrio")
    try:
        return make(weights, lambda part: json.loads(metadata[part]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{name}: a damaged {what}: {error}") from error
