"""The scores of attention: how much each step of the target wants of each step of the source.

For the decoder's output ``q`` ``(P,)`` at a step of the target, and the encoder's ``m`` ``(M,)`` at one of the source::

    dot        q·m
    general    q·W_k·m
    additive   v·tanh(W_q·q + W_k·m)

``W_k`` ``(P, M)``, ``W_q`` ``(P, P)`` and ``v`` ``(1, P)`` are linear layers without a bias. ``W_k·m`` does not depend
on ``q``: it is the same for all steps of the target.

Sources: Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation" (2015); of the
additive score Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate" (2015).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from ..base.arena import Arena
from ..base.parameters import Array
from ..layers.linear import Linear

__all__ = ["SCORES", "Additive", "Dot", "General", "Score", "ScorePasses", "Sizes", "by_lane"]

KEY, QUERY, ENERGY = "attention.key", "attention.query", "attention.energy"


class Sizes(NamedTuple):
    """Of a batch `source_steps` T, `target_steps` S and `lanes` B; of its outputs `memory` M and `query` P."""

    source_steps: int
    target_steps: int
    lanes: int
    memory: int
    query: int


class Score(Protocol):
    """A kind of score, under its ``name`` in the table."""

    name: str

    def layers(self, memory: int, query: int, dtype: np.dtype) -> dict[str, Linear]:
        """Its layers by name, for outputs of these sizes."""
        ...

    def open(self, sizes: Sizes, dtype: np.dtype, arena: Arena) -> ScorePasses:
        """Its passes, with the arrays that they need."""
        ...


class ScorePasses(Protocol):
    """The passes over one batch. `views` are the blocks of the parameters, `d_views` of their gradient."""

    def read(self, views: dict[str, Array], memory: Array) -> None:
        """Take the encoder's outputs ``(T, B, M)``, which stay as they are."""
        ...

    def forward(self, views: dict[str, Array], queries: Array, scores: Array, steps: slice) -> None:
        """Write the `scores` ``(B, S, T)`` of the decoder's outputs ``(S, B, P)`` at these `steps` of the target."""
        ...

    def start_backward(self) -> None:
        """After `forward`, and before `backward`."""
        ...

    def backward(self, views: dict[str, Array], d_scores: Array, d_queries: Array, steps: slice) -> None:
        """Write `d_queries` ``(S, B, P)`` at these `steps`."""
        ...

    def finish_backward(self, views: dict[str, Array], d_scores: Array, d_memory: Array) -> None:
        """After `backward` of all steps: add to `d_memory` ``(T, B, M)``."""
        ...

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """After `backward`: write the gradient of the layers."""
        ...


def by_lane(rows: Array) -> Array:
    """A view ``(B, T, F)`` of `rows` ``(T, B, F)``: the matrices of the lanes, for one product each."""
    return rows.transpose(1, 0, 2)


def _flat(rows: Array) -> Array:
    """A view ``(T·B, F)``."""
    return rows.reshape(-1, rows.shape[2])


def _linear(inputs: int, outputs: int, dtype: np.dtype) -> Linear:
    return Linear(inputs, outputs, bias=False, dtype=dtype, _draw=False)


class Dot:
    """``q·m``; a `Score`."""

    name = "dot"

    def layers(self, memory: int, query: int, dtype: np.dtype) -> dict[str, Linear]:
        """See `Score`."""
        return {}

    def open(self, sizes: Sizes, dtype: np.dtype, arena: Arena) -> ScorePasses:
        """See `Score`."""
        return ProductPasses(None, sizes, dtype, arena)


class General:
    """``q·W_k·m``; a `Score`."""

    name = "general"

    def layers(self, memory: int, query: int, dtype: np.dtype) -> dict[str, Linear]:
        """See `Score`."""
        return {KEY: _linear(memory, query, dtype)}

    def open(self, sizes: Sizes, dtype: np.dtype, arena: Arena) -> ScorePasses:
        """See `Score`."""
        return ProductPasses(Keys(sizes, dtype, arena), sizes, dtype, arena)


class Additive:
    """``v·tanh(W_q·q + W_k·m)``; a `Score`."""

    name = "additive"

    def layers(self, memory: int, query: int, dtype: np.dtype) -> dict[str, Linear]:
        """See `Score`."""
        sizes = {KEY: (memory, query), QUERY: (query, query), ENERGY: (query, 1)}
        return {name: _linear(*size, dtype) for name, size in sizes.items()}

    def open(self, sizes: Sizes, dtype: np.dtype, arena: Arena) -> ScorePasses:
        """See `Score`."""
        return AdditivePasses(Keys(sizes, dtype, arena), sizes, dtype, arena)


SCORES: dict[str, Score] = {score.name: score for score in (Dot(), General(), Additive())}


class Keys:
    """``W_k·m`` of all steps of the source: ``values`` ``(T, B, P)``, and their gradient ``d_values``."""

    def __init__(self, sizes: Sizes, dtype: np.dtype, arena: Arena) -> None:
        shape = (sizes.source_steps, sizes.lanes, sizes.query)
        self.values, self.d_values = arena.empty(shape, dtype), arena.empty(shape, dtype)

    def read(self, views: dict[str, Array], memory: Array) -> None:
        """Make them."""
        self._memory = memory
        np.matmul(_flat(memory), views[f"{KEY}.matrix"].T, out=_flat(self.values))

    def backward(self, views: dict[str, Array], d_memory: Array) -> None:
        """Add the part of ``d_values`` to `d_memory`."""
        d_memory += self.d_values @ views[f"{KEY}.matrix"]

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """See `ScorePasses`."""
        np.matmul(_flat(self.d_values).T, _flat(self._memory), out=d_views[f"{KEY}.matrix"])


class ProductPasses:
    """A `ScorePasses`: products of the queries with the `keys`, or where there are none with the memory itself."""

    def __init__(self, keys: Keys | None, sizes: Sizes, dtype: np.dtype, arena: Arena) -> None:
        self._keys = keys
        if keys is None:
            self._d_memory = arena.empty((sizes.source_steps, sizes.lanes, sizes.memory), dtype)

    def read(self, views: dict[str, Array], memory: Array) -> None:
        """See `ScorePasses`."""
        self._against = memory
        if self._keys is not None:
            self._keys.read(views, memory)
            self._against = self._keys.values

    def forward(self, views: dict[str, Array], queries: Array, scores: Array, steps: slice) -> None:
        """See `ScorePasses`."""
        self._queries = queries
        np.matmul(by_lane(queries[steps]), by_lane(self._against).transpose(0, 2, 1), out=scores[:, steps])

    def start_backward(self) -> None:
        """See `ScorePasses`."""

    def backward(self, views: dict[str, Array], d_scores: Array, d_queries: Array, steps: slice) -> None:
        """See `ScorePasses`."""
        np.matmul(d_scores[:, steps], by_lane(self._against), out=by_lane(d_queries[steps]))

    def finish_backward(self, views: dict[str, Array], d_scores: Array, d_memory: Array) -> None:
        """See `ScorePasses`."""
        keys, turned, queries = self._keys, d_scores.transpose(0, 2, 1), by_lane(self._queries)
        if keys is None:
            np.matmul(turned, queries, out=by_lane(self._d_memory))
            d_memory += self._d_memory
        else:
            np.matmul(turned, queries, out=by_lane(keys.d_values))
            keys.backward(views, d_memory)

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """See `ScorePasses`."""
        if self._keys is not None:
            self._keys.weight_gradient(d_views)


class AdditivePasses:
    """A `ScorePasses`. The energies ``tanh(…)`` are made a step of the target at a time, twice: they are many."""

    def __init__(self, keys: Keys, sizes: Sizes, dtype: np.dtype, arena: Arena) -> None:
        T, S, B, _, P = sizes
        self._keys = keys
        self._wanted, self._d_wanted = arena.empty((S, B, P), dtype), arena.empty((S, B, P), dtype)
        self._energies, self._d_energies = arena.empty((T, B, P), dtype), arena.empty((T, B, P), dtype)
        self._d_energy = arena.empty((1, P), dtype)

    def read(self, views: dict[str, Array], memory: Array) -> None:
        """See `ScorePasses`."""
        self._keys.read(views, memory)

    def forward(self, views: dict[str, Array], queries: Array, scores: Array, steps: slice) -> None:
        """See `ScorePasses`."""
        self._queries, (energy,) = queries, views[f"{ENERGY}.matrix"]
        np.matmul(_flat(queries[steps]), views[f"{QUERY}.matrix"].T, out=_flat(self._wanted[steps]))
        for step in range(steps.start, steps.stop):
            self._energise(step)
            np.copyto(scores[:, step], (self._energies @ energy).T)

    def _energise(self, step: int) -> None:
        np.add(self._keys.values, self._wanted[step], out=self._energies)
        np.tanh(self._energies, out=self._energies)

    def start_backward(self) -> None:
        """See `ScorePasses`."""
        self._keys.d_values.fill(0)
        self._d_energy.fill(0)

    def backward(self, views: dict[str, Array], d_scores: Array, d_queries: Array, steps: slice) -> None:
        """See `ScorePasses`."""
        energies, d_energies, (energy,) = self._energies, self._d_energies, views[f"{ENERGY}.matrix"]
        for step in range(steps.start, steps.stop):
            self._energise(step)
            mine = d_scores[:, step].T
            self._d_energy += mine.reshape(-1) @ _flat(energies)
            np.multiply(energies, energies, out=d_energies)
            np.subtract(1, d_energies, out=d_energies)
            d_energies *= energy
            d_energies *= mine[:, :, None]
            np.add.reduce(d_energies, axis=0, out=self._d_wanted[step])
            self._keys.d_values += d_energies
        np.matmul(_flat(self._d_wanted[steps]), views[f"{QUERY}.matrix"], out=_flat(d_queries[steps]))

    def finish_backward(self, views: dict[str, Array], d_scores: Array, d_memory: Array) -> None:
        """See `ScorePasses`."""
        self._keys.backward(views, d_memory)

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """See `ScorePasses`."""
        self._keys.weight_gradient(d_views)
        np.matmul(_flat(self._d_wanted).T, _flat(self._queries), out=d_views[f"{QUERY}.matrix"])
        np.copyto(d_views[f"{ENERGY}.matrix"], self._d_energy)
