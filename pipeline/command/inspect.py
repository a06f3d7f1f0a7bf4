"""What is in a model's folder, from the command line."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from ...core.base.safetensors import WeightsError, load_weights
from ...core.online.schema import Schema
from ...core.seq2seq.table import model_from_config
from ..checkpoint import CheckpointError, CheckpointStore
from ..checkpoint.file import read_checkpoint
from .folder import model_path, states_path

__all__ = ["inspect"]


def inspect(arguments: argparse.Namespace) -> int:
    """Say what is in the model, or in the folder, that the options name; the exit code: 1 where a part is damaged.

    Raises OSError and WeightsError.
    """
    path = arguments.model
    if not os.path.isdir(path):
        _inspect_model(path)
        return 0
    store = CheckpointStore(states_path(path))
    if os.path.exists(model_path(path)) or not store.steps():
        _inspect_model(model_path(path))
    return _inspect_checkpoints(store)


def _inspect_checkpoints(store: CheckpointStore) -> int:
    code = 0
    for step in store.steps():
        try:
            part = read_checkpoint(store.path(step))
            about = part.about
            outputs = {**about["outputs"], "reports": about["reports"]}
            said = [
                f"whole, {sum(array.nbytes for array in part.arrays.values()):,} bytes in {len(part.arrays)} arrays"
            ]
            said += [f"{name} {_length(output)}" for name, output in outputs.items() if _length(output)]
            said += [f"{name} {value}" for name, value in about["fingerprint"].items()]
            line = ", ".join(said)
        except (CheckpointError, OSError, KeyError, TypeError, AttributeError) as error:
            code, line = 1, f"DAMAGED: {error}"
        print(f"{f'step {step}:':12}{line}")
    return code


def _length(output: Any) -> str:  # noqa: ANN401 (JSON)
    """How long a file was, in words; empty where that is not known."""
    file = output.get("file", output) if isinstance(output, dict) else None
    if not file or "length" not in file:
        return ""
    return f"{file['length']:,} bytes" + f" behind {file['number']} full files" * bool(file["number"])


def _inspect_model(path: str | os.PathLike[str]) -> None:
    weights, metadata = load_weights(path)
    if "model" not in metadata:
        raise WeightsError(f"{os.fspath(path)}: a safetensors file, but no model of recurrio")
    try:
        about = {name: json.loads(text) for name, text in metadata.items() if name != "format"}
        model = model_from_config(about["model"])
        lines = [("file", os.fspath(path)), ("format", metadata.get("format", "none"))]
        config = about["model"]
        stack = f"{config['cell']} {config['num_layers']}×{config['hidden_size']}"
        lines.append(("model", f"{stack}, {model.layout.size:,} parameters, loss {config['loss']['loss']}"))
        lines += _records(about) if "schema" in about else _text(about)
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


def _text(about: dict[str, Any]) -> list[tuple[str, str]]:
    """What there is to say of a model of texts, or of recordings: one with vocabularies."""
    config, lines = about["model"], []
    if "source" in about:
        sizes = {"source": config["source_size"], "target": config["target_size"] - 1}
        lines += [(side, f"{about[side]['kind']}, {size:,} symbols") for side, size in sizes.items()]
    if "vocabulary" in about:
        size = config["output_size"] - 1 if "rate" in about else config["vocabulary_size"]
        lines.append(("vocabulary", f"{about['vocabulary']['kind']}, {size:,} symbols"))
    if "rate" in about:
        lines.append(("rate", f"{about['rate']:,} samples a second"))
    if "classes" in about:
        lines.append(("classes", _said(about["classes"])))
    return lines
