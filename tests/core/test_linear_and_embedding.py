"""Linear and embedding by themselves: tapes that are their own, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from recurrio.core import ArgumentError, Embedding, Linear

X, TOKENS = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32), np.array([[0, 1], [5, 1]])


def test_a_tape_keeps_what_the_forward_pass_has_read() -> None:
    linear, x = Linear(3, 4, seed=0), X.copy()
    y, tape = linear.forward(x)
    expected = linear.backward(tape, y)
    linear.parameters *= 2  # an update meanwhile
    x.fill(0)
    d_x, gradients = linear.backward(tape, y)
    assert np.array_equal(d_x, expected[0])
    assert all(np.array_equal(gradients[name], expected[1][name]) for name in expected[1])

    table, tokens = Embedding(6, 3, seed=0), TOKENS.copy()
    rows, rows_tape = table.forward(tokens)
    before = table.backward(rows_tape, rows)["weight"]
    tokens.fill(0)
    assert np.array_equal(table.backward(rows_tape, rows)["weight"], before)


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64"), "float64"])
def test_a_dtype_may_be_numpys_own(dtype: Any) -> None:  # noqa: ANN401
    assert Linear(3, 4, dtype=dtype).parameters.dtype == Embedding(6, 3, dtype=dtype).parameters.dtype == np.float64


LINEAR, TABLE = Linear(3, 4, seed=0), Embedding(6, 3, seed=0)
Y, TAPE = LINEAR.forward(X)
ROWS, ROWS_TAPE = TABLE.forward(TOKENS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LINEAR(X[..., :2]), r"x: expected a float32 array \(…, 3\), got float32 \(5, 2, 2\)"),
        (lambda: LINEAR(np.float32(1)), r"x: expected a float32 array \(…, 3\), got float32"),
        (lambda: LINEAR(X.astype(float)), r"x: .*, got float64 \(5, 2, 3\) \(x.astype\('float32'\), or a layer with"),
        (lambda: LINEAR(X[:0]), r"x: expected at least one row, got \(0, 2, 3\)"),
        (lambda: LINEAR.backward(TAPE, Y[:4]), r"d_y: expected a float32 array \(5, 2, 4\), got float32 \(4, 2, 4\)"),
        (lambda: LINEAR.backward(Y, TAPE), "tape: expected what forward returned, got ndarray"),
        (lambda: LINEAR.backward(ROWS_TAPE, Y), "tape: expected what forward returned, got EmbeddingTape"),
        (lambda: TABLE.backward(ROWS, ROWS_TAPE), "tape: expected what forward returned, got ndarray"),
        (lambda: TABLE.backward(TAPE, ROWS), "tape: expected what forward returned, got LinearTape"),
        (lambda: TABLE.backward(ROWS_TAPE, ROWS[:1]), r"d_rows: expected a float32 array \(2, 2, 3\), got float32"),
        (lambda: TABLE.backward(ROWS_TAPE, None), "d_rows: .*, got NoneType"),
        (lambda: TABLE(TOKENS + 1), "indices: expected indices from 0 to 5, got indices from 1 to 6"),
        (lambda: Linear(3, 4, dtype="int8"), "dtype: expected float32 or float64, got 'int8'"),
        (lambda: Embedding(3, 4, dtype=[]), r"dtype: expected float32 or float64, got \[\]"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_one_vector_is_a_row() -> None:
    np.testing.assert_allclose(LINEAR(X[0, 0]), Y[0, 0], rtol=1e-5)
