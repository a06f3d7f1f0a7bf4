"""An ONNX graph, node after node. `onnx` is imported here, and only when a graph is begun."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.base.parameters import Array
from .error import ExportError

if TYPE_CHECKING:
    import onnx

__all__ = ["NEXT", "Graph"]

OPSET, IR = 17, 8  # of 2022, which runtimes of today read
NEXT = "_next"  # what the output is called that is to be the input of the next call
Shape = Sequence[int | str]


class Graph:
    """Values go by their names, which are strings; in shapes ``"B"`` are lanes and ``"T"`` time steps.

    Raises ExportError where `onnx` is not installed.
    """

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError:
            raise ExportError("export needs onnx; pip install 'recurrio[export]'") from None
        self._onnx = onnx
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._states: dict[str, tuple[type, Shape, str]] = {}  # and those come behind the others:
        self._before: list[onnx.ValueInfoProto] = []
        self._after: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, kind: type, shape: Shape, about: str) -> str:
        """An input of this NumPy type; `about` says what it is."""
        self._inputs.append(self._info(name, kind, shape, about))
        return name

    def output(self, name: str, value: str, kind: type, shape: Shape, about: str) -> None:
        """`value` is an output."""
        self._outputs.append(self._named(name, value, kind, shape, about))

    def state(self, name: str, kind: type, shape: Shape, begins: str, about: str) -> str:
        """An input that `carry` gives its next value, and whose first is all `begins`, a number."""
        self._states[name] = kind, shape, begins
        self._before.append(self._info(name, kind, shape, f"{about}; it begins as {begins}, and then is {name}{NEXT}"))
        return name

    def carry(self, name: str, value: str) -> None:
        """The state `name` is `value` after this call."""
        kind, shape, _ = self._states[name]
        self._after.append(self._named(name + NEXT, value, kind, shape, f"{name} of the next call"))

    def constant(self, values: Array | Sequence[Any] | float, kind: type | None = None) -> str:
        """An array, of a NumPy type where that is given."""
        self._constants.append(self._onnx.numpy_helper.from_array(np.array(values, kind), self._name("constant")))
        return self._constants[-1].name

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:  # noqa: ANN401 (the operator's)
        """The outputs of a node of this `operator`; an input that is left out is an empty name."""
        names = [self._name(operator) for _ in range(outputs)]
        # Nodes have names because onnxruntime 1.20 names what it makes of two nodes by theirs, and wants all different.
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, names, names[0], **attributes))
        return names

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 (the operator's)
        """The output of a node that has one."""
        return self.add(operator, *inputs, **attributes)[0]

    def cast(self, value: str, kind: type) -> str:
        """`value` as another type."""
        return self("Cast", value, to=self._type(kind))

    def cut(self, value: str, axis: int, start: int, stop: int | None = None) -> str:
        """``value[start:stop]`` along an axis."""
        last = np.iinfo(np.int64).max if stop is None else stop
        return self("Slice", value, *(self.constant([place], np.int64) for place in (start, last, axis)))

    def pick(self, value: str, places: Sequence[int]) -> str:
        """These columns, of the last axis of three."""
        return self("Gather", value, self.constant(places, np.int64), axis=2)

    def limit(self, value: str, low: float, high: float) -> str:
        """`value` ``float64`` between the two; NaN stays NaN, of which Clip says nothing."""
        bounds = [self.constant(bound, np.float64) for bound in (low, high)]
        return self("Where", self("IsNaN", value), value, self("Clip", value, *bounds))

    def last_known(self, values: str, before: str) -> str:
        """`values` ``(B, T, A)``, where NaN is the last one that is not, at first that in `before` ``(B, A)``."""
        node, value = self._onnx.helper.make_node, self._onnx.helper.make_tensor_value_info
        double = self._type(np.float64)
        body = self._onnx.helper.make_graph(
            [
                node("IsNaN", ["now"], ["missing"]),
                node("Where", ["missing", "earlier", "now"], ["known"]),
                node("Identity", ["known"], ["later"]),
            ],
            "last_known",
            [value(name, double, None) for name in ("earlier", "now")],
            [value(name, double, None) for name in ("later", "known")],
        )
        scan = {"num_scan_inputs": 1, "scan_input_axes": [1], "scan_output_axes": [1]}
        return self.add("Scan", before, values, outputs=2, body=body, **scan)[1]

    def model(self, about: str, metadata: Mapping[str, Any]) -> onnx.ModelProto:
        """The model: `about` is its text, `metadata` are written as JSON; ``states`` says how each begins."""
        helper = self._onnx.helper
        inputs, outputs = self._inputs + self._before, self._outputs + self._after
        graph = helper.make_graph(self._nodes, "recurrio", inputs, outputs, self._constants, about)
        opsets = [helper.make_opsetid("", OPSET)]
        more = {"producer_name": "recurrio", "doc_string": about, "opset_imports": opsets, "ir_version": IR}
        model: onnx.ModelProto = helper.make_model(graph, **more)
        metadata = {**metadata, "states": {name: begins for name, (_, _, begins) in self._states.items()}}
        helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
        return model

    def _name(self, operator: str) -> str:
        self._count += 1
        return f"{operator}_{self._count}"

    def _type(self, kind: type) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def _named(self, name: str, value: str, kind: type, shape: Shape, about: str) -> onnx.ValueInfoProto:
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name))
        return self._info(name, kind, shape, about)

    def _info(self, name: str, kind: type, shape: Shape, about: str) -> onnx.ValueInfoProto:
        return self._onnx.helper.make_tensor_value_info(name, self._type(kind), list(shape), about)
