"""A trained model as an ONNX graph, from the command line."""

from __future__ import annotations

import argparse
import os

from ...core.base.files import write_file
from ...core.base.safetensors import WeightsError, load_weights
from ...core.online.record_model import FORMAT as RECORDS
from ...core.online.record_model import RecordModel
from ...core.text.text_model import FORMAT as TEXT
from ...core.text.text_model import TextModel
from ..export import NEXT, to_onnx
from .folder import model_path
from .outputs import Outputs

__all__ = ["export"]


def export(arguments: argparse.Namespace) -> int:
    """Write the graph of the model that the options name, and say what goes in and out; the exit code.

    Raises OSError, WeightsError, ExportError, and ValueError where the graph would replace a model.
    """
    path, out = arguments.model, arguments.onnx
    if os.path.isdir(path):
        path = model_path(path)
    if out.endswith(".safetensors"):
        raise ValueError(f"ONNX {out}: expected a file for the graph, as model.onnx, got one for a model")
    Outputs({"MODEL": path}).claim("ONNX", out)
    model = to_onnx(_load(path))
    write_file(out, [model.SerializeToString()])
    for what, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            sizes = ", ".join(size.dim_param or str(size.dim_value) for size in value.type.tensor_type.shape.dim)
            if not value.name.endswith(NEXT):  # of which its input says what it is
                print(f"{what + ':':9}{value.name} ({sizes}): {value.doc_string}")
    print(f"wrote {out}")
    return 0


def _load(path: str | os.PathLike[str]) -> RecordModel | TextModel:
    kind = load_weights(path)[1].get("format")
    if kind == RECORDS:
        return RecordModel.load(path, keys=1)
    if kind == TEXT:
        return TextModel.load(path)
    raise WeightsError(f"{os.fspath(path)}: a safetensors file, but no model of recurrio")
