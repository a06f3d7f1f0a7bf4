"""A table of a model's layers: what each puts out, and how its parameters are counted."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..base.checks import ArgumentError
from ..base.module import Module
from ..cells.buffers import LayerSize
from ..layers.embedding import Embedding
from ..layers.layered import Layered
from ..layers.linear import Linear
from ..layers.recurrent import Recurrent
from ..layers.stack import Stack
from ..layers.stack_parameters import StackParameters
from .sequence_model import SequenceModel

__all__ = ["summary"]


class _Row(NamedTuple):
    """One layer, in one direction. `formula` is how its `parameters` are counted, with the numbers put in."""

    name: str
    kind: str
    output: str
    parameters: int
    formula: str

    def columns(self) -> tuple[str, ...]:
        """The columns, as text."""
        count = f"{self.parameters:,}"
        return (self.name, self.kind, self.output, count, f"{self.formula} = {count}")


def summary(model: Module) -> str:
    """The layers of a model, or of one layer, as a table.

    >>> from recurrio.core import SequenceModel, summary
    >>> print(summary(SequenceModel(60, embedding_size=64, hidden_size=128)))
    layer      kind       output       parameters  formula
    embedding  Embedding  (T, B, 64)        3,840  60·64 = 3,840
    rnn.l0     LSTM       (T, B, 128)      99,328  4 · (128·64 + 128·128 + 2·128) = 99,328
    head       Linear     (T, B, 60)        7,740  60·128 + 60 = 7,740
    total                                 110,908

    A recurrent layer has a row for each direction, with the output of that direction alone; the input of the next
    layer is both side by side. The formulas, with the gates G (1 in an RNN, 3 in a GRU, 4 in an LSTM)::

        recurrent            G · (H·I + H·H + 2·H), without biases G · (H·I + H·H)
        with a projection    4 · (H·I + H·P + 2·H) + P·H
        layer normalisation  + G · 2·H, in a GRU + 4 · 2·H
        embedding            V·I
        linear               O·H + O, without a bias O·H

    The last line is the total, ``model.layout.size``. Raises ArgumentError where `model` is something else.
    """
    if isinstance(model, Layered):
        rows = [row for name, layer in model._layers.items() for row in _rows(layer, name)]
        if isinstance(model, SequenceModel) and not model.network.head.streams:
            rows[-1] = rows[-1]._replace(output=f"(1, B, {model.network.output_size})")
    else:
        rows = _rows(model, "")
    table = [("layer", "kind", "output", "parameters", "formula"), *[row.columns() for row in rows]]
    table.append(("total", "", "", f"{model.layout.size:,}", ""))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(_line(columns, widths) for columns in table)


def _line(columns: tuple[str, ...], widths: list[int]) -> str:
    aligned = [
        text.rjust(width) if number == 3 else text.ljust(width)  # the parameters
        for number, (text, width) in enumerate(zip(columns, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()


def _rows(layer: Module, name: str) -> list[_Row]:
    """The rows of `layer`, which is called `name` in its model and nothing, ``""``, on its own."""
    if isinstance(layer, Embedding):
        V, I = layer.num_embeddings, layer.embedding_dim
        return [_Row(name or "embedding", "Embedding", f"(T, B, {I})", layer.layout.size, f"{V}·{I}")]
    if isinstance(layer, Linear):
        O, H = layer.out_features, layer.in_features
        formula = f"{O}·{H}" + (f" + {O}" if layer.bias else "")
        return [_Row(name or "linear", "Linear", f"(T, B, {O})", layer.layout.size, formula)]
    if not isinstance(layer, StackParameters):
        raise ArgumentError("model", "a model or one of its layers", type(layer).__name__)
    axes = "B, T" if isinstance(layer, Recurrent) and layer.batch_first else "T, B"
    return [_recurrent(layer.stack, name and f"{name}.", own, size, axes) for own, size in layer.stack.names]


def _recurrent(stack: Stack, prefix: str, name: str, size: LayerSize, axes: str) -> _Row:
    """The row of a layer in one direction, which `name` is torch's suffix of."""
    cell = stack.cell
    kind = f"{cell.kind} reverse" if name.endswith("_reverse") else cell.kind
    I, H, P, gates = size.input_size, size.hidden_size, size.output_size, cell.rows
    formula = f"{gates} · ({H}·{I} + {H}·{P}" + (f" + 2·{H})" if size.bias else ")")
    if size.proj_size:
        formula += f" + {P}·{H}"
    if stack.layer_norm:
        formula += f" + {cell.gates} · 2·{H}"
    parameters = sum(math.prod(shape) for shape in cell.shapes(size).values())
    return _Row(f"{prefix}{name}", kind, f"({axes}, {P})", parameters, formula)
