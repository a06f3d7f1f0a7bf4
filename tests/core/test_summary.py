"""The summary: every formula comes to the size of the layer's arrays, and the total to that of the vector."""

from __future__ import annotations

import doctest
import importlib
import math
import re
from typing import Any

import pytest

from recurrio.core import GRU, LSTM, RNN, ArgumentError, Embedding, Linear, SequenceModel, summary
from recurrio.core.base.module import Module
from recurrio.core.cells.table import CELLS

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def lines_of(model: Module) -> list[list[str]]:
    """The columns of every line under the headings; of the last, the name and the total."""
    heading, *lines = summary(model).splitlines()
    assert heading.split() == ["layer", "kind", "output", "parameters", "formula"]
    return [re.split(r" {2,}", line) for line in lines]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def check(model: Module) -> None:
    """Every row against the arrays of its layer in the state dict, and the total against the vector."""
    *rows, total = lines_of(model)
    assert total == ["total", f"{model.layout.size:,}"]
    sizes = {name: math.prod(array.shape) for name, array in model.state_dict().items()}
    assert sum(sizes.values()) == model.layout.size
    for name, _, _, parameters, formula in rows:
        prefix, _, ending = name.rpartition(".")
        if re.match(r"l\d", ending):  # rnn.l0 has rnn.weight_ih_l0 and more
            own = {key for key in sizes if key.startswith(prefix) and key.endswith(f"_{ending}")}
        else:
            own = {key for key in sizes if key.startswith(f"{name}.")} or set(sizes)
        counted, _, result = formula.partition(" = ")
        assert eval(counted.replace("·", "*")) == number(result) == number(parameters)
        assert number(parameters) == sum(sizes.pop(key) for key in own)
    assert not sizes


CONFIGURATIONS: list[dict[str, Any]] = [
    {"vocabulary_size": 60},
    {"vocabulary_size": 1100, "embedding_size": 7, "hidden_size": 33, "num_layers": 3},
    {"vocabulary_size": 9, "bidirectional": True, "output": "last", "output_size": 3},
    {"input_size": 4, "output_size": 1, "hidden_size": [12, 8, 5], "num_layers": 3, "output": "mean"},
    {"vocabulary_size": 9, "bidirectional": True, "output": "attention", "output_size": 3},
    {"vocabulary_size": 9, "layer_norm": True, "num_layers": 2},
    {"input_size": 5, "output_size": 2, "hidden_size": [6, 4], "num_layers": 2, "bidirectional": True, "dropout": 0.3},
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", CONFIGURATIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_model_is_counted_by_its_formulas(cell: str, options: dict[str, Any], bias: bool) -> None:
    if "layer_norm" in options and not CELLS[cell].normalises:
        pytest.skip("it is refused")
    model = SequenceModel(**options, cell=cell, bias=bias, seed=None)
    check(model)
    for row in lines_of(model)[:-1]:
        if row[0].startswith("rnn."):
            assert row[4].startswith(f"{GATES[cell.split('_')[0]]} · (")
            assert (" + 2·" in row[4]) == bias


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_projection_is_counted(bidirectional: bool, bias: bool) -> None:
    options = {"num_layers": 2, "proj_size": 3, "bidirectional": bidirectional, "bias": bias}
    check(SequenceModel(9, hidden_size=[8, 10], **options, seed=None))
    layer = LSTM(5, 8, **options, seed=None)
    check(layer)
    biases = " + 2·8" if bias else ""
    assert lines_of(layer)[0][4].startswith(f"4 · (8·5 + 8·3{biases}) + 3·8 = ")


@pytest.mark.parametrize(
    "layer",
    [
        RNN(3, 4, 2, nonlinearity="relu", seed=0),
        LSTM(3, [4, 5], 2, bias=False, seed=0),
        GRU(3, 4, bidirectional=True, batch_first=True, seed=0),
        Linear(3, 4, seed=0),
        Linear(3, 4, bias=False, seed=0),
        Embedding(3, 4, seed=0),
    ],
    ids=str,
)
def test_a_single_layer_is_counted(layer: Module) -> None:
    check(layer)


def test_what_the_rows_say() -> None:
    model = SequenceModel(
        1100, embedding_size=4, hidden_size=[6, 5], num_layers=2, cell="gru", bidirectional=True, output="last"
    )
    assert [row[:3] for row in lines_of(model)[:-1]] == [
        ["embedding", "Embedding", "(T, B, 4)"],
        ["rnn.l0", "GRU", "(T, B, 6)"],
        ["rnn.l0_reverse", "GRU reverse", "(T, B, 6)"],
        ["rnn.l1", "GRU", "(T, B, 5)"],
        ["rnn.l1_reverse", "GRU reverse", "(T, B, 5)"],
        ["head", "Linear", "(1, B, 1100)"],
    ]
    assert lines_of(model)[3][3:] == ["285", "3 · (5·12 + 5·5 + 2·5) = 285"]  # the input is both directions
    assert lines_of(RNN(3, 4, nonlinearity="relu", batch_first=True))[0][:3] == ["l0", "RNN relu", "(B, T, 4)"]
    assert lines_of(Linear(3, 4))[0] == ["linear", "Linear", "(T, B, 4)", "16", "4·3 + 4 = 16"]
    assert lines_of(Embedding(3, 4))[0] == ["embedding", "Embedding", "(T, B, 4)", "12", "3·4 = 12"]


def test_the_columns_are_aligned() -> None:
    lines = summary(SequenceModel(1100, embedding_size=4, hidden_size=6, num_layers=11, bidirectional=True)).split("\n")
    right = lines[0].index("parameters") + len("parameters")
    for line in lines:
        assert line == line.rstrip()
        assert line[right - 1] != " "
        assert line[right : right + 2].strip() == ""


def test_the_example_runs() -> None:
    failed, attempted = doctest.testmod(importlib.import_module("recurrio.core.model.summary"))
    assert (failed, attempted) == (0, 2)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ArgumentError, match="model: expected a model or one of its layers, got dict"):
        summary({})
