"""What every layer with parameters has: one flat vector of them, and torch's state dict as its way in and out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from .checks import ArgumentError, check_unmasked
from .initializers import TorchRandom, check_seed, fresh_seed
from .parameters import Array, Layout
from .shown import show_call

__all__ = ["Module", "StateDictError"]


class StateDictError(ArgumentError):
    """A state dict that does not fit; ``problems`` lists everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("state_dict", "the names and shapes of the model", "; ".join(problems))
        self.problems = problems


class Module(ABC):
    """Parameters in one flat vector: ``parameters`` ``(size,)``, in the blocks of ``layout``.

    A gradient is a vector of the same layout; `flatten` makes one from a dict under torch's names. ``seed`` is that of
    the first parameters, whether it was given or drawn; None where they were not drawn from one.
    """

    layout: Layout
    dtype: np.dtype
    parameters: Array
    seed: int | None

    def _fill(self, seed: int | None, draw: bool = True) -> None:
        """Make ``parameters``: drawn from `seed`, or with None from fresh entropy.

        Without `draw` they are zeros, to be loaded; `seed` is then the one that they came from elsewhere, if any.
        """
        self.parameters = np.zeros(self.layout.size, self.dtype)
        if seed is None and draw:
            seed = fresh_seed()
        self.seed = None if seed is None else check_seed(seed)
        if self.seed is not None and draw:
            self.initialise(TorchRandom(self.seed))

    def _arguments(self) -> dict[str, Any]:
        """Those arguments of the constructor that are no attributes of their names; for `repr`."""
        return {"dtype": self.dtype.name}

    def __repr__(self) -> str:
        return show_call(self, **self._arguments())

    @abstractmethod
    def initialise(self, random: TorchRandom) -> None:
        """Draw the parameters as torch does."""

    @abstractmethod
    def _to_torch(self, views: dict[str, Array]) -> dict[str, Array]:
        """A copy of the blocks under torch's names."""

    @abstractmethod
    def _from_torch(self, views: dict[str, Array], named: Mapping[str, Array]) -> None:
        """Write arrays under torch's names into the blocks."""

    def state_dict(self, parameters: Array | None = None) -> dict[str, Array]:
        """A copy of `parameters` ``(size,)``, by default the layer's own, under torch's names and in torch's shapes."""
        return self._to_torch(self.layout.views(self.parameters if parameters is None else parameters))

    def load_state_dict(self, named: Mapping[str, Array]) -> None:
        """Set ``parameters`` from arrays under torch's names: float16, float32 or float64, which are cast.

        Raises StateDictError, and changes nothing, where a name is missing or unexpected, or a shape or a dtype is
        wrong; it lists all of them.
        """
        self.parameters[...] = self.flatten(named)

    def flatten(self, named: Mapping[str, Array]) -> Array:
        """The flat vector ``(size,)`` of parameters or gradients under torch's names; see `load_state_dict`."""
        if not isinstance(named, Mapping):
            raise ArgumentError("state_dict", "a dict of arrays", type(named).__name__)
        expected = self.state_dict()
        problems = [f"missing {name}" for name in expected if name not in named]
        problems += [f"unexpected {name}" for name in named if name not in expected]
        cast = {}
        for name, values in named.items():
            if name in expected:
                try:
                    cast[name] = self._cast(name, values, expected[name].shape)
                except ArgumentError as error:
                    problems.append(str(error))
        if problems:
            raise StateDictError(problems)
        flat = np.zeros_like(self.parameters)
        self._from_torch(self.layout.views(flat), cast)
        return flat

    def _cast(self, name: str, values: object, shape: tuple[int, ...]) -> Array:
        """`values` in the dtype of the parameters. Raises ArgumentError where they are no floats of `shape`."""
        check_unmasked(name, values)
        try:
            array = np.asarray(values)  # a tensor of torch is one for NumPy too, unless it is bfloat16 or elsewhere
        except (TypeError, ValueError, RuntimeError) as error:
            raise ArgumentError(name, "an array", f"{type(values).__name__} ({error})") from None
        if array.shape != shape:
            raise ArgumentError(name, f"shape {shape}", array.shape)
        if array.dtype.kind != "f" or array.dtype.itemsize > 8:
            raise ArgumentError(name, "float16, float32 or float64", array.dtype)
        return array.astype(self.dtype, copy=False)
