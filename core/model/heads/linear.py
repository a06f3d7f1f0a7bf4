"""What the heads of today have in common: a linear layer on some features of the stack, and a loss on its outputs."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...base.arena import Arenas
from ...base.compiled import ByArray
from ...base.parameters import Array
from ...base.ranks import Pass
from ...cells.masks import Masks
from ...layers import linear
from ...layers.dropout import draw_kept
from ...layers.stack import StackWorkspace
from ...losses.loss import Loss

__all__ = ["Features", "LinearHead"]

BLOCK = "head.matrix"


class Features(Protocol):
    """What the linear layer takes of the stack, ``(D·P, N)``, and where its gradient goes.

    Where the features are not the outputs themselves, `pool` makes them, and `spread` hands their gradient on; in both
    a rank does what is of its units.
    """

    pools: bool

    @property
    def one_and_values(self) -> Array:
        """The features under a row of ones."""
        ...

    @property
    def d_values(self) -> Array:
        """Where their gradient is written."""
        ...

    def pool(self, views: dict[str, Array], masks: Masks | None) -> None:
        """Make the features of the outputs of the stack; `views` are the blocks of the parameters."""
        ...

    def spread(self) -> None:
        """Write the gradient of the outputs of the stack, or of its state."""
        ...

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """After `spread`: write the gradient of what parameters there are, those of this rank's units."""
        ...


class LinearHead:
    """A `HeadPasses`. The ranks share the `columns` in all, not the units, of what the linear layer puts out.

    For a loss by lane the outputs of all ranks meet in `_whole`, from where each takes those of whole lanes.
    """

    def __init__(
        self,
        features: Features,
        columns: int,
        stack: StackWorkspace,
        loss: Loss,
        output_size: int,
        arenas: Arenas,
        dropout: float,
    ) -> None:
        rank, (_, lanes), dtype = stack.rank, stack.shape, stack.stack.dtype
        self._features = features
        self._columns = own = rank.share(columns)
        self._lanes, self._by_lane = rank.share(lanes), loss.by_lane
        self._whole: Array | None = None
        if loss.by_lane and rank.count > 1:
            of_lanes = columns // lanes * (self._lanes.stop - self._lanes.start)
            self._kernel = loss.kernel(output_size, of_lanes, dtype, arenas.own)
            self._whole = arenas.shared.empty((output_size, columns // lanes, lanes), dtype)
            outputs = self._whole.reshape(output_size, columns)[:, own]
        else:
            self._kernel = loss.kernel(output_size, own.stop - own.start, dtype, arenas.own)
            outputs = self._kernel.outputs
        self._outputs, d_values = outputs, features.d_values[:, own]
        self._dropout, self._dropping, self._d_values = dropout, False, d_values
        kept = (len(d_values) if dropout else 0, d_values.shape[1])
        self._kept = arenas.own.empty(kept, dtype)
        self._one_and_rest = arenas.own.empty((1 + kept[0], kept[1]), dtype)
        arenas.own.keep(self._one_and_rest[0], 1)
        self._backward = ByArray(lambda matrix: linear.bind_backward(matrix, outputs, d_values))

    def outputs(self, views: dict[str, Array], masks: Masks | None, rng: np.random.Generator | None) -> Pass[Array]:
        """See `HeadPasses`."""
        if self._features.pools:
            self._features.pool(views, masks)
            yield
        self._dropping = rng is not None and self._dropout > 0
        if rng is not None and self._dropping:
            draw_kept(rng, self._dropout, self._kept)
        linear.forward(views[BLOCK], self._one_and_values(), self._outputs)
        return self._outputs

    def _one_and_values(self) -> Array:
        """What the linear layer takes, of this rank's columns."""
        values = self._features.one_and_values[:, self._columns]
        if not self._dropping:
            return values
        np.multiply(values[1:], self._kept, self._one_and_rest[1:])
        return self._one_and_rest

    def loss(self, targets: Array, counted: Array | None) -> Pass[float]:
        """See `HeadPasses`."""
        if not self._by_lane:
            by_column = targets.reshape(-1, *targets.shape[2:])[self._columns].T
            return self._kernel.forward(by_column, None if counted is None else counted.reshape(-1)[self._columns])
        if self._whole is not None:
            yield
            self._of_lanes(self._whole)[...] = self._whole[:, :, self._lanes]
        return self._kernel.forward(targets[:, self._lanes], None if counted is None else counted[:, self._lanes])

    def backward(self, views: dict[str, Array], scale: float) -> Pass[None]:
        """See `HeadPasses`."""
        self._kernel.backward(scale)
        if self._whole is not None:
            self._whole[:, :, self._lanes] = self._of_lanes(self._whole)
            yield
        self._backward(views[BLOCK])
        if self._dropping:
            np.multiply(self._d_values, self._kept, self._d_values)
        yield
        if self._features.pools:
            self._features.spread()

    def _of_lanes(self, whole: Array) -> Array:
        """The outputs in the kernel, as they lie in `whole` ``(F, S, B)``."""
        return self._kernel.outputs.reshape(*whole.shape[:2], self._lanes.stop - self._lanes.start)

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """See `HeadPasses`."""
        linear.weight_gradient(self._outputs, self._one_and_values(), d_views[BLOCK])
        self._features.weight_gradient(d_views)
