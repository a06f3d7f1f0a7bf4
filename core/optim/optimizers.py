"""Optimizers on the flat parameter vector, by torch's definitions.

In the equations, ``p`` is the parameters, ``g`` the gradient, and every slot starts as 0 unless it is said otherwise.
The state of an optimizer is its slots, which are attributes, None before the first step, and a count of `steps` where
the equations need one.
`lr` may be set between any two steps.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np

from ..base import compiled
from ..base.checks import ArgumentError, check_array, check_number
from ..base.parameters import Array

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]


class Optimizer(Protocol):
    """What the loop needs of an optimizer. Its slots are made at the first step, for that vector's size."""

    lr: float

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> None:
        """Write the updated `parameters` into `out`, by default in their place. `gradient` stays as it is.

        All are vectors of one shape and dtype, the same at every step. Raises ArgumentError.
        """
        ...


def _check_above_0(**arguments: float) -> None:
    for argument, value in arguments.items():
        check_number(argument, value, 0, open_low=True)


def _check_from_0(**arguments: float) -> None:
    for argument, value in arguments.items():
        check_number(argument, value, 0)


def _is_decay_rate(value: float) -> bool:
    return isinstance(value, int | float | np.number) and bool(0 <= value < 1)


def _slot(slot: Array | None, parameters: Array, value: float = 0) -> Array:
    """The `slot`, made like `parameters` and filled with `value` where it is None."""
    return np.full_like(parameters, value) if slot is None else slot


def _add_decay(parameters: Array, gradient: Array, weight_decay: float, out: Array | None) -> Array:
    """``g + weight_decay · p``, written into `out`, which is made where it is None."""
    out = np.multiply(parameters, weight_decay, out=out)
    return np.add(gradient, out, out=out)


def _check_like(like: Array, expected: str, argument: str, vector: object) -> None:
    if not isinstance(vector, np.ndarray) or vector.shape != like.shape or vector.dtype != like.dtype:
        got = f"{vector.dtype} {vector.shape}" if isinstance(vector, np.ndarray) else type(vector).__name__
        raise ArgumentError(argument, f"a vector like {expected}, {like.dtype} {like.shape}", got)


class _Checked(ABC):
    """An optimizer that checks the vectors at the door, so that nothing broadcasts; it has a vector of scratch."""

    _scratch: Array | None = None

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> None:
        """See `Optimizer`."""
        if self._scratch is None:
            check_array("parameters", parameters, ("N",))
        else:
            _check_like(self._scratch, "that of the first step", "parameters", parameters)
        _check_like(parameters, "parameters (see Module.flatten)", "gradient", gradient)
        if out is not None:
            _check_like(parameters, "parameters", "out", out)
        self._scratch = scratch = _slot(self._scratch, parameters)
        self._update(parameters, gradient, parameters if out is None else out, scratch)

    @abstractmethod
    def _update(self, parameters: Array, gradient: Array, out: Array, scratch: Array) -> None:
        """The step, for vectors that fit; `scratch` is another such vector, with anything in it."""


class SGD(_Checked):
    """Gradient descent, with momentum where it is asked for::

        g ← g + weight_decay · p
        v ← momentum · v + (1 − dampening) · g, and v ← g at the first step
        p ← p − lr · v; with nesterov, p ← p − lr · (g + momentum · v); without momentum, p ← p − lr · g

    Arguments: `lr` above 0; `momentum` and `weight_decay` from 0; `dampening` in [0, 1]. `nesterov` needs a momentum
    and no dampening.
    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013);
    ``torch.optim.SGD``.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        _check_above_0(lr=lr)
        _check_from_0(momentum=momentum, weight_decay=weight_decay)
        check_number("dampening", dampening, 0, 1)
        if nesterov and (momentum == 0 or dampening != 0):
            got = f"momentum {momentum!r} and dampening {dampening!r}"
            raise ArgumentError("nesterov", "a momentum above 0 and a dampening of 0 with it", got)
        self.lr, self.momentum, self.dampening = lr, momentum, dampening
        self.weight_decay, self.nesterov = weight_decay, nesterov
        self.velocity: Array | None = None
        self._decayed: Array | None = None

    def _update(self, parameters: Array, gradient: Array, out: Array, scratch: Array) -> None:
        if self.weight_decay:
            gradient = self._decayed = _add_decay(parameters, gradient, self.weight_decay, self._decayed)
        if self.momentum:
            gradient = self._accelerated(gradient, scratch)
        np.multiply(gradient, self.lr, scratch)
        np.subtract(parameters, scratch, out)

    def _accelerated(self, gradient: Array, scratch: Array) -> Array:
        """The direction that the velocity gives; the velocity itself, or in `scratch`."""
        if self.velocity is None:
            self.velocity = gradient.copy()
        else:
            np.multiply(gradient, 1 - self.dampening, scratch)
            np.multiply(self.velocity, self.momentum, self.velocity)
            np.add(self.velocity, scratch, self.velocity)
        if not self.nesterov:
            return self.velocity
        np.multiply(self.velocity, self.momentum, scratch)
        return np.add(gradient, scratch, scratch)


class RMSprop(_Checked):
    """The gradient over a moving root mean square of it::

        g ← g + weight_decay · p
        s ← alpha · s + (1 − alpha) · g²
        d = g / (√s + eps); centered, m ← m + (1 − alpha) · (g − m) and d = g / (√(s − m²) + eps)
        p ← p − lr · d; with momentum, v ← momentum · v + d and p ← p − lr · v

    Arguments: `lr` and `eps` above 0; `alpha` in [0, 1); `weight_decay` and `momentum` from 0.
    Source: Tieleman and Hinton, "Lecture 6.5: rmsprop" (2012), and, centered, Graves, "Generating sequences with
    recurrent neural networks" (2013); ``torch.optim.RMSprop``.
    """

    def __init__(
        self,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        _check_above_0(lr=lr, eps=eps)
        _check_from_0(weight_decay=weight_decay, momentum=momentum)
        if not _is_decay_rate(alpha):
            raise ArgumentError("alpha", "a number in [0, 1)", repr(alpha))
        self.lr, self.alpha, self.eps = lr, alpha, eps
        self.weight_decay, self.momentum, self.centered = weight_decay, momentum, centered
        self.square: Array | None = None
        self.mean: Array | None = None
        self.velocity: Array | None = None
        self._decayed: Array | None = None

    def _update(self, parameters: Array, gradient: Array, out: Array, scratch: Array) -> None:
        square = self.square = _slot(self.square, parameters)
        if self.weight_decay:
            gradient = self._decayed = _add_decay(parameters, gradient, self.weight_decay, self._decayed)
        np.multiply(gradient, gradient, scratch)
        np.multiply(scratch, 1 - self.alpha, scratch)
        np.multiply(square, self.alpha, square)
        np.add(square, scratch, square)
        if self.centered:
            mean = self.mean = _slot(self.mean, parameters)
            np.subtract(gradient, mean, scratch)
            np.multiply(scratch, 1 - self.alpha, scratch)
            np.add(mean, scratch, mean)
            np.multiply(mean, mean, scratch)
            np.subtract(square, scratch, scratch)
            np.sqrt(scratch, scratch)
        else:
            np.sqrt(square, scratch)
        np.add(scratch, self.eps, scratch)
        direction = np.divide(gradient, scratch, scratch)
        if self.momentum:
            velocity = self.velocity = _slot(self.velocity, parameters)
            np.multiply(velocity, self.momentum, velocity)
            direction = np.add(velocity, scratch, velocity)
        np.multiply(direction, self.lr, scratch)
        np.subtract(parameters, scratch, out)


class Adagrad(_Checked):
    """The gradient over the root of the sum of all its squares::

        g ← g + weight_decay · p
        s ← s + g², with s = initial_accumulator_value at first
        p ← p − lr / (1 + (n − 1) · lr_decay) · g / (√s + eps) at step n from 1

    Arguments: `lr` and `eps` above 0; `lr_decay`, `weight_decay` and `initial_accumulator_value` from 0.
    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods" (2011); ``torch.optim.Adagrad``.
    """

    def __init__(
        self,
        lr: float = 0.01,
        eps: float = 1e-10,
        *,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
    ) -> None:
        _check_above_0(lr=lr, eps=eps)
        _check_from_0(lr_decay=lr_decay, weight_decay=weight_decay, initial_accumulator_value=initial_accumulator_value)
        self.lr, self.eps, self.lr_decay, self.weight_decay = lr, eps, lr_decay, weight_decay
        self.initial_accumulator_value = initial_accumulator_value
        self.steps = 0
        self.sum: Array | None = None
        self._decayed: Array | None = None

    def _update(self, parameters: Array, gradient: Array, out: Array, scratch: Array) -> None:
        total = self.sum = _slot(self.sum, parameters, self.initial_accumulator_value)
        if self.weight_decay:
            gradient = self._decayed = _add_decay(parameters, gradient, self.weight_decay, self._decayed)
        self.steps += 1
        np.multiply(gradient, gradient, scratch)
        np.add(total, scratch, total)
        np.sqrt(total, scratch)
        np.add(scratch, self.eps, scratch)
        np.divide(gradient, scratch, scratch)
        np.multiply(scratch, self.lr / (1 + (self.steps - 1) * self.lr_decay), scratch)
        np.subtract(parameters, scratch, out)


class Adam(_Checked):
    """A moving mean of the gradient over a moving root mean square of it, both corrected for their start at 0::

        g ← g + weight_decay · p
        m ← β₁m + (1 − β₁)g        m̂ = m / (1 − β₁ⁿ) at step n from 1
        v ← β₂v + (1 − β₂)g²       v̂ = v / (1 − β₂ⁿ)
        p ← p − lr · m̂ / (√v̂ + eps)

    Arguments: `lr` and `eps` above 0; `betas`, which are β₁ and β₂, in [0, 1); `weight_decay` from 0.
    Source: Kingma and Ba, "Adam" (2015); ``torch.optim.Adam``.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
    ) -> None:
        _check_above_0(lr=lr, eps=eps)
        _check_from_0(weight_decay=weight_decay)
        if not (isinstance(betas, tuple | list) and len(betas) == 2 and all(map(_is_decay_rate, betas))):
            raise ArgumentError("betas", "two numbers in [0, 1)", repr(betas))
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.steps = 0
        self.mean: Array | None = None
        self.square: Array | None = None
        self._decayed: Array | None = None

    def _update(self, parameters: Array, gradient: Array, out: Array, scratch: Array) -> None:
        if self.weight_decay:
            gradient = self._decayed = _add_decay(parameters, gradient, self.weight_decay, self._decayed)
        self._descend(parameters, gradient, out, scratch)

    def _descend(self, parameters: Array, gradient: Array, out: Array, scratch: Array) -> None:
        """The step without weight decay."""
        mean = self.mean = _slot(self.mean, parameters)
        square = self.square = _slot(self.square, parameters)
        beta_1, beta_2 = self.betas
        self.steps += 1
        rate, scale = self.lr / (1 - beta_1**self.steps), 1 / math.sqrt(1 - beta_2**self.steps)
        vectors = (parameters, gradient, mean, square, out)
        if compiled.has("adam", out.dtype) and all(
            vector.flags.c_contiguous and vector.flags.aligned for vector in vectors
        ):
            constants = np.array([[beta_1, 1 - beta_1, beta_2, 1 - beta_2, scale, self.eps, rate]], out.dtype)
            compiled.bind("adam", *(vector[None] for vector in vectors), constants)()
            return
        np.multiply(gradient, 1 - beta_1, scratch)
        np.multiply(mean, beta_1, mean)
        np.add(mean, scratch, mean)
        np.multiply(gradient, gradient, scratch)
        np.multiply(scratch, 1 - beta_2, scratch)
        np.multiply(square, beta_2, square)
        np.add(square, scratch, square)
        np.sqrt(square, scratch)
        np.multiply(scratch, scale, scratch)
        np.add(scratch, self.eps, scratch)
        np.divide(mean, scratch, scratch)
        np.multiply(scratch, rate, scratch)
        np.subtract(parameters, scratch, out)


class AdamW(Adam):
    """Adam with the weight decay beside the gradient: ``p ← (1 − lr · weight_decay) · p``, then Adam's step without it.

    Arguments: those of `Adam`.
    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019); ``torch.optim.AdamW``.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay)

    def _update(self, parameters: Array, gradient: Array, out: Array, scratch: Array) -> None:
        np.multiply(parameters, 1 - self.lr * self.weight_decay, out)
        self._descend(out, gradient, out, scratch)
