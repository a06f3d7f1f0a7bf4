"""Linear layer: ``y = W·x + b``.

On feature-major columns it is one product, ``[b | W]·[1; x]``: the parameters are one matrix ``(O, 1+I)`` with the
columns ``[bias | weight]``, or ``weight`` alone without a bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .errors import ArgumentError, check_array, check_count
from .initializers import TorchRandom
from .module import Module
from .parameters import Array, Layout

__all__ = ["Linear", "backward", "forward"]


def forward(matrix: Array, one_and_inputs: Array, out: Array) -> None:
    """`out` ``(O, N)`` from `one_and_inputs` ``(1+I, N)``, whose first row is ones."""
    np.matmul(matrix, one_and_inputs, out)


def backward(matrix: Array, one_and_inputs: Array, d_out: Array, d_matrix: Array, d_inputs: Array) -> None:
    """From `d_out` ``(O, N)``: `d_matrix` ``(O, 1+I)``, and `d_inputs` ``(I, N)``."""
    np.matmul(d_out, one_and_inputs.T, d_matrix)
    np.matmul(matrix[:, 1:].T, d_out, d_inputs)


class Linear(Module):
    """``y = W·x + b`` over the last axis, as ``torch.nn.Linear``.

    The parameters are torch's for the `seed`, or with None zeros; `dtype` is ``"float32"`` or ``"float64"``.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: str = "float32", seed: int | None = 0
    ) -> None:
        check_count("in_features", in_features)
        check_count("out_features", out_features)
        if dtype not in ("float32", "float64"):
            raise ArgumentError("dtype", "'float32' or 'float64'", repr(dtype))
        self.in_features, self.out_features, self.bias, self.dtype = in_features, out_features, bias, np.dtype(dtype)
        self.layout = Layout()
        self.layout.add("matrix", out_features, bias + in_features)
        self.parameters = np.zeros(self.layout.size, self.dtype)
        if seed is not None:
            self.initialise(TorchRandom(seed))

    def initialise(self, random: TorchRandom) -> None:
        """Draw the parameters as torch does: uniform in ``±1/√I``, the weight first."""
        # torch comes to the weight's bound by another way, which can end one bit beside it.
        bound = math.sqrt(3) * (math.sqrt(2 / 6) / math.sqrt(self.in_features))
        named = {"weight": random.uniform((self.out_features, self.in_features), bound, self.dtype)}
        if self.bias:
            named["bias"] = random.uniform((self.out_features,), 1 / math.sqrt(self.in_features), self.dtype)
        self.load_state_dict(named)

    def _to_torch(self, views: dict[str, Array]) -> dict[str, Array]:
        matrix = views["matrix"]
        named = {"weight": matrix[:, int(self.bias) :].copy()}
        return named | ({"bias": matrix[:, 0].copy()} if self.bias else {})

    def _from_torch(self, views: dict[str, Array], named: Mapping[str, Array]) -> None:
        matrix = views["matrix"]
        matrix[:, int(self.bias) :] = named["weight"]
        if self.bias:
            matrix[:, 0] = named["bias"]

    def __call__(self, x: Array) -> Array:
        """``y``; see `forward`."""
        return self.forward(x)[0]

    def forward(self, x: Array) -> tuple[Array, Array]:
        """``y`` ``(…, O)`` for `x` ``(…, I)``, and the tape for `backward`. Raises ArgumentError."""
        x = self._check("x", x, self.in_features)
        named = self._to_torch(self.layout.views(self.parameters))
        return x @ named["weight"].T + named.get("bias", self.dtype.type(0)), x

    def backward(self, tape: Array, d_y: Array) -> tuple[Array, dict[str, Array]]:
        """From the gradient `d_y` ``(…, O)``: ``d_x`` ``(…, I)``, and the gradients by name. Raises ArgumentError."""
        d_y = self._check("d_y", d_y, self.out_features)
        if d_y.shape[:-1] != tape.shape[:-1]:
            raise ArgumentError("d_y", f"an array {(*tape.shape[:-1], self.out_features)}", d_y.shape)
        rows, columns = tape.reshape(-1, self.in_features), d_y.reshape(-1, self.out_features)
        named = self._to_torch(self.layout.views(self.parameters))
        gradients = {"weight": columns.T @ rows} | ({"bias": columns.sum(axis=0)} if self.bias else {})
        return d_y @ named["weight"], gradients

    def _check(self, name: str, array: Array, features: int) -> Array:
        check_array(name, array, (*(f"n{axis}" for axis in range(np.ndim(array) - 1)), features), self.dtype)
        if not array.size:
            raise ArgumentError(name, "at least one row", array.shape)
        return array
