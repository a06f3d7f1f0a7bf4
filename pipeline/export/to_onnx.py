"""From a trained model to its graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.online.record_model import RecordModel
from ...core.text.text_model import TextModel
from .records import records_graph
from .text import text_graph

if TYPE_CHECKING:
    import onnx

__all__ = ["to_onnx"]


def to_onnx(trained: RecordModel | TextModel) -> onnx.ModelProto:
    """The graph of a `trained` model; docs/export.md says what goes in and out, and so does the graph itself.

    Raises ExportError where the model cannot be exported, or `onnx` is not installed.
    """
    return text_graph(trained) if isinstance(trained, TextModel) else records_graph(trained)
