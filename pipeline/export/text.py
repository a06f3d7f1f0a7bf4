"""A model of text as a graph: symbols in, the logarithms of the probabilities of the next one out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.text.text_model import TextModel
from .graph import Graph
from .network import add_network

if TYPE_CHECKING:
    import onnx

__all__ = ["text_graph"]

ABOUT = """A model of text, trained by Recurrio.

Of B texts T symbols each go in, and the natural logarithms of the probabilities of the symbol behind each come out.
What the model has read is in its states: each output NAME_next is the input NAME of the next call; a new text begins
with what the metadata `states` say. The metadata `vocabulary` says what the symbols are."""


def text_graph(text: TextModel) -> onnx.ModelProto:
    """The graph of `text`. Raises ExportError."""
    graph = Graph()
    symbols = graph.input("symbols", np.int64, ("B", "T"), "the numbers of symbols in the vocabulary")
    outputs = add_network(graph, text.model, symbols)
    logs, shape = graph("LogSoftmax", outputs, axis=2), ("B", "T", len(text.vocabulary))
    graph.output("log_probabilities", logs, np.float32, shape, "ln p of each symbol to be the next")
    return graph.model(ABOUT, {"vocabulary": text.vocabulary_config})
