"""Linear layer: ``y = W·x + b``.

On feature-major columns it is one product, ``[b | W]·[1; x]``: the parameters are one matrix ``(O, 1+I)`` with the
columns ``[bias | weight]``, or ``weight`` alone without a bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..base.checks import ArgumentError, check_array, check_count, check_dtype, check_flag, check_tape
from ..base.compiled import Call
from ..base.initializers import TorchRandom
from ..base.module import Module
from ..base.parameters import Array, Layout
from ..base.product import bind_product, multiply

__all__ = ["Linear", "LinearTape", "bind_backward", "forward", "weight_gradient"]


def forward(matrix: Array, one_and_inputs: Array, out: Array) -> None:
    """`out` ``(O, N)`` from `one_and_inputs` ``(1+I, N)``, whose first row is ones."""
    multiply(matrix, one_and_inputs, out)


def bind_backward(matrix: Array, d_out: Array, d_inputs: Array) -> Call:
    """A call that makes `d_inputs` ``(I, N)`` of `d_out` ``(O, N)``."""
    return bind_product(matrix[:, 1:].T, d_out, d_inputs)


def weight_gradient(d_out: Array, one_and_inputs: Array, d_matrix: Array) -> None:
    """`d_matrix` ``(O, 1+I)`` from `d_out` ``(O, N)``."""
    np.matmul(d_out, one_and_inputs.T, d_matrix)


class LinearTape(NamedTuple):
    """What `Linear.forward` leaves for `Linear.backward`: copies of `x` ``(…, I)`` and of the `weight` ``(O, I)``."""

    x: Array
    weight: Array


class Linear(Module):
    """``y = W·x + b`` over the last axis, as ``torch.nn.Linear``.

    The parameters are torch's for the `seed`, a whole number below 2³²; with None it is drawn afresh and kept in
    ``seed``. `dtype` is ``"float32"`` or ``"float64"``. Raises ArgumentError.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        _draw: bool = True,
    ) -> None:
        self.in_features = check_count("in_features", in_features)
        self.out_features = check_count("out_features", out_features)
        self.bias, self.dtype = check_flag("bias", bias), check_dtype(dtype)
        self.layout = Layout()
        self.layout.add("matrix", self.out_features, self.bias + self.in_features)
        self._fill(seed, _draw)

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

    def forward(self, x: Array) -> tuple[Array, LinearTape]:
        """``y`` ``(…, O)`` for `x` ``(…, I)``, and the tape for `backward`. Raises ArgumentError."""
        check_array("x", x, ("…", self.in_features), self.dtype)
        if not x.size:
            raise ArgumentError("x", "at least one row", x.shape)
        named = self._to_torch(self.layout.views(self.parameters))
        return x @ named["weight"].T + named.get("bias", self.dtype.type(0)), LinearTape(x.copy(), named["weight"])

    def backward(self, tape: LinearTape, d_y: Array) -> tuple[Array, dict[str, Array]]:
        """From the gradient `d_y` ``(…, O)``: ``d_x`` ``(…, I)``, and the gradients by name. Raises ArgumentError."""
        check_tape(tape, LinearTape)
        if tape.weight.shape != (self.out_features, self.in_features):
            raise ArgumentError("tape", "one of this layer", "one of another")
        check_array("d_y", d_y, (*tape.x.shape[:-1], self.out_features), self.dtype)
        rows, columns = tape.x.reshape(-1, self.in_features), d_y.reshape(-1, self.out_features)
        gradients = {"weight": columns.T @ rows} | ({"bias": columns.sum(axis=0)} if self.bias else {})
        return d_y @ tape.weight, gradients
