"""What is in a model's folder, from the command line."""

from __future__ import annotations

import argparse
import json
import os

from ...core.base.safetensors import WeightsError, load_weights
from ...core.model.sequence_model import SequenceModel
from ...core.online.schema import Schema
from .folder import model_path

__all__ = ["inspect"]


def inspect(arguments: argparse.Namespace) -> int:
    """Say what is in the model that the options name; the exit code. Raises OSError and WeightsError."""
    path = arguments.model
    if os.path.isdir(path):
        path = model_path(path)
    weights, metadata = load_weights(path)
    if "model" not in metadata:
        raise WeightsError(f"{os.fspath(path)}: a safetensors file, but no model of recurrio")
    try:
        about = {name: json.loads(text) for name, text in metadata.items() if name != "format"}
        model = SequenceModel.from_config(about["model"])
        lines = [("file", os.fspath(path)), ("format", metadata.get("format", "none"))]
        config = about["model"]
        stack = f"{config['cell']} {config['num_layers']}×{config['hidden_size']}"
        lines.append(("model", f"{stack}, {model.layout.size:,} parameters, loss {config['loss']['loss']}"))
        lines += _records(about) if "schema" in about else [("vocabulary", _vocabulary(about["vocabulary"]))]
        training = about.get("training") or {}
        said = [
            f"{name} {' '.join(value) if isinstance(value, list) else value}"
            for name, value in training.items()
            if value is not None and not isinstance(value, dict)
        ]
        lines.append(("trained", ", ".join(said) or "nobody says how"))
        lines.append(
            ("arrays", ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in weights.items()))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{os.fspath(path)}: a damaged model: {error}") from error
    for name, text in lines:
        print(f"{name + ':':12}{text}")
    return 0


def _records(about: dict[str, dict[str, object]]) -> list[tuple[str, str]]:
    schema, encoder = about["schema"], about["encoder"]
    lines = [(name, _said(schema[name])) for name in ("key", "time", "features", "target", "label") if schema.get(name)]
    classes = encoder["classes"]
    if schema.get("label"):
        lines.append(("classes", _said(classes["texts"])))  # type: ignore[index]
    names = Schema.of(**schema).categories  # type: ignore[arg-type]
    for name, table in zip(names, encoder["categories"], strict=True):  # type: ignore[call-overload]
        lines.append((name, _said(table["texts"])))
    lines.append(("scales", "of each key" if encoder["per_key"] else "of all keys together"))
    return lines


def _said(value: object) -> str:
    return ", ".join(map(json.dumps, value)) if isinstance(value, list) else json.dumps(value)


def _vocabulary(vocabulary: dict[str, str]) -> str:
    if vocabulary["kind"] == "bytes":
        return "bytes"
    return f"{len(vocabulary['characters']) + 1} characters"
