"""Linear layer with a bias, on feature-major columns.

``y = U·[x; 1]``: the parameters are one matrix ``U`` ``(V, H+1)`` with columns ``[weight | bias]``, so the bias
is part of each product.
"""

from __future__ import annotations

import numpy as np

from .parameters import Array

__all__ = ["backward", "forward", "from_torch", "matrix_shape", "to_torch"]


def matrix_shape(in_features: int, out_features: int) -> tuple[int, int]:
    """The shape of the layer's parameter matrix."""
    return out_features, in_features + 1


def to_torch(matrix: Array) -> dict[str, Array]:
    """A copy of the parameters under torch's names."""
    return {"weight": np.ascontiguousarray(matrix[:, :-1]), "bias": np.ascontiguousarray(matrix[:, -1])}


def from_torch(matrix: Array, named: dict[str, Array]) -> None:
    """Write parameters under torch's names into the layer's matrix."""
    matrix[:, :-1], matrix[:, -1] = named["weight"], named["bias"]


def forward(matrix: Array, inputs_and_one: Array, out: Array) -> None:
    """`out` ``(V, N)`` from `inputs_and_one` ``(H+1, N)``, whose last row is ones."""
    np.matmul(matrix, inputs_and_one, out)


def backward(matrix: Array, inputs_and_one: Array, d_out: Array, d_matrix: Array, d_inputs: Array) -> None:
    """From `d_out` ``(V, N)``: `d_matrix` ``(V, H+1)``, and `d_inputs` ``(H, N)``."""
    np.matmul(d_out, inputs_and_one.T, d_matrix)
    np.matmul(matrix[:, :-1].T, d_out, d_inputs)
