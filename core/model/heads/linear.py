"""What the heads of today have in common: a linear layer on some features of the stack, and a loss on its outputs."""

from __future__ import annotations

from typing import Protocol

from ...base.arena import Arenas
from ...base.compiled import ByArray
from ...base.parameters import Array
from ...base.ranks import Pass
from ...cells.masks import Masks
from ...layers import linear
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
    """A `HeadPasses`. The ranks share the `columns` in all, not the units, of what the linear layer puts out."""

    def __init__(
        self, features: Features, columns: int, stack: StackWorkspace, loss: Loss, output_size: int, arenas: Arenas
    ) -> None:
        self._features = features
        self._columns = own = stack.rank.share(columns)
        self._kernel = kernel = loss.kernel(output_size, own.stop - own.start, stack.stack.dtype, arenas.own)
        d_values = features.d_values[:, own]
        self._backward = ByArray(lambda matrix: linear.bind_backward(matrix, kernel.outputs, d_values))

    def outputs(self, views: dict[str, Array], masks: Masks | None) -> Pass[Array]:
        """See `HeadPasses`."""
        if self._features.pools:
            self._features.pool(views, masks)
            yield
        linear.forward(views[BLOCK], self._features.one_and_values[:, self._columns], self._kernel.outputs)
        return self._kernel.outputs

    def loss(self, targets: Array, counted: Array | None) -> float:
        """See `HeadPasses`."""
        by_column = targets.reshape(-1, *targets.shape[2:])[self._columns].T
        return self._kernel.forward(by_column, None if counted is None else counted.reshape(-1)[self._columns])

    def backward(self, views: dict[str, Array], scale: float) -> Pass[None]:
        """See `HeadPasses`."""
        self._kernel.backward(scale)
        self._backward(views[BLOCK])
        yield
        if self._features.pools:
            self._features.spread()

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """See `HeadPasses`."""
        values = self._features.one_and_values[:, self._columns]
        linear.weight_gradient(self._kernel.outputs, values, d_views[BLOCK])
        self._features.weight_gradient(d_views)
