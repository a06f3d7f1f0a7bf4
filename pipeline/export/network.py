"""The recurrent stack and its head as nodes, in float32, which is what runtimes compute recurrent layers in."""

from __future__ import annotations

import numpy as np

from ...core.base.parameters import Array
from ...core.model.sequence_model import SequenceModel
from .error import ExportError
from .graph import Graph

__all__ = ["add_network"]

LARGEST = 2**31 - 2**24  # bytes of a model: a file of ONNX has less than 2 GiB
# Of each cell ONNX's operator, its attributes, and where its gates stand in torch's order.
OPERATORS: dict[str, tuple[str, dict[str, object], list[int]]] = {
    "lstm": ("LSTM", {}, [0, 3, 1, 2]),  # i, o, f, g of i, f, g, o
    "gru": ("GRU", {"linear_before_reset": 1}, [1, 0, 2]),  # z, r, n of r, z, n
    "gru_reset_before": ("GRU", {"linear_before_reset": 0}, [1, 0, 2]),
    "rnn": ("RNN", {"activations": ["Tanh"]}, [0]),
    "rnn_relu": ("RNN", {"activations": ["Relu"]}, [0]),
    "rnn_sigmoid": ("RNN", {"activations": ["Sigmoid"]}, [0]),
}


def add_network(graph: Graph, model: SequenceModel, columns: str) -> str:
    """The outputs ``(B, T, O)`` float32 for `columns`, with the states of each layer.

    `columns` are features ``(B, T, I)`` float32, or symbols ``(B, T)`` where the model has an embedding of these.

    Raises ExportError for what ONNX has no operator for, or what needs the end of a sequence.
    """
    stack, head = model.network.stack, model.network.head
    if stack.directions == 2:
        raise ExportError("bidirectional=True: cannot be exported, as each step needs all that come after it")
    if not head.streams:
        raise ExportError(f"output={head.name!r}: cannot be exported, as it is not said at each step")
    if stack.sizes[0].proj_size:
        raise ExportError("proj_size: cannot be exported, as ONNX has no LSTM with a projection")
    if stack.layer_norm or stack.zoneout:
        option = "layer_norm" if stack.layer_norm else "zoneout"
        raise ExportError(f"{option}: cannot be exported, as ONNX has no recurrent layer with it")
    if stack.cell.name not in OPERATORS:
        raise ExportError(f"cell={stack.cell.name!r}: cannot be exported, as ONNX has no operator for it")
    operator, attributes, order = OPERATORS[stack.cell.name]
    weights = _weights(model)
    if model.vocabulary_size is not None:
        columns = graph("Gather", graph.constant(weights["embedding.weight"]), columns)
    columns = graph("Transpose", columns, perm=[1, 0, 2])
    for layer, size in enumerate(stack.sizes):

        def gates(name: str, layer: int = layer) -> Array:
            return np.concatenate([np.split(weights[f"rnn.{name}_l{layer}"], len(order))[gate] for gate in order])

        parameters = [graph.constant(gates(name)[None]) for name in ("weight_ih", "weight_hh")]
        biases = [gates(name) for name in ("bias_ih", "bias_hh")] if size.bias else []
        parameters.append(graph.constant(np.concatenate(biases)[None]) if biases else "")
        names = [f"hidden_{layer}", f"cell_{layer}"][: 1 + (operator == "LSTM")]
        axis = graph.constant([0], np.int64)
        carried = [
            graph("Unsqueeze", graph.state(name, np.float32, ("B", size.hidden_size), "0", "a state"), axis)
            for name in names
        ]
        given = columns, *parameters, "", *carried
        columns, *after = graph.add(
            operator, *given, outputs=1 + len(names), hidden_size=size.hidden_size, **attributes
        )
        columns = graph("Squeeze", columns, graph.constant([1], np.int64))  # the direction
        for name, state in zip(names, after, strict=True):
            graph.carry(name, graph("Squeeze", state, axis))
    columns = graph("Transpose", columns, perm=[1, 0, 2])
    product = graph("MatMul", columns, graph.constant(weights["head.weight"].T.copy()))
    return graph("Add", product, graph.constant(weights["head.bias"]))


def _weights(model: SequenceModel) -> dict[str, Array]:
    """The weights under torch's names, in float32. Raises ExportError where they cannot be that."""
    if 4 * model.layout.size > LARGEST:
        raise ExportError(f"{model.layout.size:,} parameters: cannot be exported, as ONNX has less than 2 GiB")
    with np.errstate(over="ignore"):
        found = {name: array.astype(np.float32) for name, array in model.state_dict().items()}
    if not all(np.isfinite(array).all() for array in found.values()):
        raise ExportError("the weights are not finite in float32; nothing can be said with them")
    return found
