"""An exported graph, run by onnxruntime as docs/export.md says: its inputs from records, its states fed back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from recurrio.core.base.parameters import Array

__all__ = ["Exported"]

KINDS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
Values = dict[str, Array]


class Exported:
    """The graph of `model`, checked, with what its metadata say."""

    def __init__(self, model: onnx.ModelProto) -> None:
        onnx.checker.check_model(model, full_check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.about = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
        self.inputs = {given.name: given for given in self.session.get_inputs()}
        self.outputs = [said.name for said in self.session.get_outputs()]

    def begin(self, lanes: int) -> Values:
        """The states of keys that are new."""
        found = {}
        for name, value in self.about["states"].items():
            shape = [lanes if size == "B" else size for size in self.inputs[name].shape]
            found[name] = np.full(shape, float(value), KINDS[self.inputs[name].type])
        return found

    def feed(self, lanes: Sequence[Sequence[Mapping[str, Any]]]) -> Values:
        """The inputs for as many records of each lane."""
        found: Values = {}
        if "numbers" in self.inputs:
            numbers = [[[row.get(name) for name in self.about["numbers"]] for row in rows] for rows in lanes]
            found["numbers"] = np.array(numbers, np.float64)  # None is NaN
        if "categories" in self.inputs:
            tables = self.about["categories"].items()
            place = [[[_place(texts, row.get(name)) for name, texts in tables] for row in rows] for rows in lanes]
            found["categories"] = np.array(place, np.int64)
        if "time" in self.inputs:
            found["time"] = np.array([[row[self.about["schema"]["time"]] for row in rows] for rows in lanes], float)
        return found

    def run(self, inputs: Values, states: Values) -> tuple[Values, Values]:
        """What is said, and the states after that."""
        said = dict(zip(self.outputs, self.session.run(None, {**inputs, **states}), strict=True))
        after = {name: said.pop(f"{name}_next") for name in states}
        return said, after

    def stream(self, rows: Sequence[Mapping[str, Any]], key: str) -> Values:
        """What is said of records one after the other, each with the states of its key."""
        states: dict[Any, Values] = {}
        found = []
        for row in rows:
            said, states[row[key]] = self.run(self.feed([[row]]), states.get(row[key]) or self.begin(1))
            found.append(said)
        return {name: np.concatenate([said[name][0] for said in found]) for name in found[0]}


def _place(texts: list[str], text: str | None) -> int:
    return -1 if text is None else texts.index(text) + 1 if text in texts else 0
