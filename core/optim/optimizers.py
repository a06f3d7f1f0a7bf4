"""Optimizers on the flat parameter vector, by torch's definitions.

In the equations, ``p`` is the parameters, ``g`` the gradient, and every slot starts as 0 unless it is said otherwise.
"""

from __future__ import annotations

import math

import numpy as np

from ..base import compiled
from ..base.checks import ArgumentError, check_flag, check_number
from ..base.parameters import Array
from .optimizer import Optimizer, Slots

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]


def _above_0(argument: str, value: float) -> float:
    return check_number(argument, value, 0, open_low=True)


def _decay_rate(argument: str, value: float) -> float:
    return check_number(argument, value, 0, 1, open_high=True)


def _add_decay(parameters: Array, gradient: Array, weight_decay: float, out: Array | None) -> Array:
    """``g + weight_decay · p``, written into `out`, which is made where it is None."""
    out = np.multiply(parameters, weight_decay, out=out)
    return np.add(gradient, out, out=out)


def _is_dense(vector: Array) -> bool:
    flags = vector.flags
    return bool(flags.c_contiguous and flags.aligned)


class SGD(Optimizer):
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
        super().__init__()
        self.lr = _above_0("lr", lr)
        self.momentum = check_number("momentum", momentum, 0)
        self.dampening = check_number("dampening", dampening, 0, 1)
        self.weight_decay = check_number("weight_decay", weight_decay, 0)
        self.nesterov = check_flag("nesterov", nesterov)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            got = f"momentum {self.momentum!r} and dampening {self.dampening!r}"
            raise ArgumentError("nesterov", "a momentum above 0 and a dampening of 0 with it", got)
        self._decayed: Array | None = None

    def initial(self) -> dict[str, float]:
        """See `Optimizer`."""
        return {"velocity": 0.0} if self.momentum else {}

    def update(self, parameters: Array, gradient: Array, out: Array, before: Slots, after: Slots) -> None:
        """See `Optimizer`."""
        scratch = self.scratch
        if self.weight_decay:
            gradient = self._decayed = _add_decay(parameters, gradient, self.weight_decay, self._decayed)
        if self.momentum:
            velocity = after["velocity"]
            if self.steps == 1:
                np.copyto(velocity, gradient)
            else:
                np.multiply(gradient, 1 - self.dampening, scratch)
                np.multiply(before["velocity"], self.momentum, velocity)
                np.add(velocity, scratch, velocity)
            if self.nesterov:
                np.multiply(velocity, self.momentum, scratch)
                gradient = np.add(gradient, scratch, scratch)
            else:
                gradient = velocity
        np.multiply(gradient, self.lr, scratch)
        np.subtract(parameters, scratch, out)


class RMSprop(Optimizer):
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
        super().__init__()
        self.lr, self.alpha, self.eps = _above_0("lr", lr), _decay_rate("alpha", alpha), _above_0("eps", eps)
        self.weight_decay = check_number("weight_decay", weight_decay, 0)
        self.momentum = check_number("momentum", momentum, 0)
        self.centered = check_flag("centered", centered)
        self._decayed: Array | None = None

    def initial(self) -> dict[str, float]:
        """See `Optimizer`."""
        slots = {"square": True, "mean": self.centered, "velocity": self.momentum > 0}
        return {name: 0.0 for name, used in slots.items() if used}

    def update(self, parameters: Array, gradient: Array, out: Array, before: Slots, after: Slots) -> None:
        """See `Optimizer`."""
        square, scratch = after["square"], self.scratch
        if self.weight_decay:
            gradient = self._decayed = _add_decay(parameters, gradient, self.weight_decay, self._decayed)
        np.multiply(gradient, gradient, scratch)
        np.multiply(scratch, 1 - self.alpha, scratch)
        np.multiply(before["square"], self.alpha, square)
        np.add(square, scratch, square)
        if self.centered:
            mean = after["mean"]
            np.subtract(gradient, before["mean"], scratch)
            np.multiply(scratch, 1 - self.alpha, scratch)
            np.add(before["mean"], scratch, mean)
            np.multiply(mean, mean, scratch)
            np.subtract(square, scratch, scratch)
            np.sqrt(scratch, scratch)
        else:
            np.sqrt(square, scratch)
        np.add(scratch, self.eps, scratch)
        direction = np.divide(gradient, scratch, scratch)
        if self.momentum:
            velocity = after["velocity"]
            np.multiply(before["velocity"], self.momentum, velocity)
            direction = np.add(velocity, scratch, velocity)
        np.multiply(direction, self.lr, scratch)
        np.subtract(parameters, scratch, out)


class Adagrad(Optimizer):
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
        super().__init__()
        self.lr, self.eps = _above_0("lr", lr), _above_0("eps", eps)
        self.lr_decay = check_number("lr_decay", lr_decay, 0)
        self.weight_decay = check_number("weight_decay", weight_decay, 0)
        self.initial_accumulator_value = check_number("initial_accumulator_value", initial_accumulator_value, 0)
        self._decayed: Array | None = None

    def initial(self) -> dict[str, float]:
        """See `Optimizer`."""
        return {"sum": self.initial_accumulator_value}

    def update(self, parameters: Array, gradient: Array, out: Array, before: Slots, after: Slots) -> None:
        """See `Optimizer`."""
        total, scratch = after["sum"], self.scratch
        if self.weight_decay:
            gradient = self._decayed = _add_decay(parameters, gradient, self.weight_decay, self._decayed)
        np.multiply(gradient, gradient, scratch)
        np.add(before["sum"], scratch, total)
        np.sqrt(total, scratch)
        np.add(scratch, self.eps, scratch)
        np.divide(gradient, scratch, scratch)
        np.multiply(scratch, self.lr / (1 + (self.steps - 1) * self.lr_decay), scratch)
        np.subtract(parameters, scratch, out)


class Adam(Optimizer):
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
        super().__init__()
        self.lr, self.eps = _above_0("lr", lr), _above_0("eps", eps)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ArgumentError("betas", "two numbers in [0, 1)", repr(betas))
        self.betas = _decay_rate("betas", betas[0]), _decay_rate("betas", betas[1])
        self.weight_decay = check_number("weight_decay", weight_decay, 0)
        self._decayed: Array | None = None
        self._finite: bool | None = None  # what the last step gave, where the kernel has made it

    def initial(self) -> dict[str, float]:
        """See `Optimizer`."""
        return {"mean": 0.0, "square": 0.0}

    def is_finite(self, out: Array) -> bool:
        """See `Optimizer`; the kernel has looked already. A class of a user's own may have changed what it saw."""
        looked = self._finite is not None and type(self) in (Adam, AdamW)
        return bool(self._finite) if looked else super().is_finite(out)

    def update(self, parameters: Array, gradient: Array, out: Array, before: Slots, after: Slots) -> None:
        """See `Optimizer`."""
        if self.weight_decay:
            gradient = self._decayed = _add_decay(parameters, gradient, self.weight_decay, self._decayed)
        self._descend(parameters, gradient, out, before, after)

    def _descend(self, parameters: Array, gradient: Array, out: Array, before: Slots, after: Slots) -> None:
        """The step without weight decay."""
        mean, square = after["mean"], after["square"]
        beta_1, beta_2 = self.betas
        rate, scale = self.lr / (1 - beta_1**self.steps), 1 / math.sqrt(1 - beta_2**self.steps)
        if compiled.has("adam", out.dtype) and all(map(_is_dense, (parameters, gradient, out))):
            constants = np.array((beta_1, 1 - beta_1, beta_2, 1 - beta_2, scale, self.eps, rate, 0), out.dtype)
            vectors = (parameters, gradient, before["mean"], before["square"], mean, square, out)
            compiled.bind("adam", *vectors, constants)()
            self._finite = not constants[7]
            return
        self._finite, scratch = None, self.scratch
        np.multiply(gradient, 1 - beta_1, scratch)
        np.multiply(before["mean"], beta_1, mean)
        np.add(mean, scratch, mean)
        np.multiply(gradient, gradient, scratch)
        np.multiply(scratch, 1 - beta_2, scratch)
        np.multiply(before["square"], beta_2, square)
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

    def update(self, parameters: Array, gradient: Array, out: Array, before: Slots, after: Slots) -> None:
        """See `Optimizer`."""
        np.multiply(parameters, 1 - self.lr * self.weight_decay, out)
        self._descend(out, gradient, out, before, after)
