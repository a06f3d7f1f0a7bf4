"""One output for each sequence, of the mean over its steps, weighted by attention."""

from __future__ import annotations

import numpy as np

from ...base.arena import Arenas
from ...base.module import Module
from ...base.parameters import Array
from ...cells.masks import Masks
from ...layers.linear import Linear
from ...layers.stack import StackWorkspace
from .pooled import Pooled, pooled_room

__all__ = ["ATTENTION"]

BLOCK = "attention.matrix"


class AttentionFeatures:
    """The weighted means; a `recurrio.core.model.heads.linear.Features`.

    With ``w`` ``(D·P,)``, the weight of a linear layer ``attention`` without a bias, and ``h_t`` the outputs::

        e_t = w·h_t        a = softmax of e over the steps that exist        s = Σ a_t·h_t

    and 0 where there is no step. That is the attention over words of Yang et al., "Hierarchical attention networks for
    document classification" (2016), without the hidden layer before their context vector, which is then ``w``.

    A score is of all units, so each rank finds all scores, and what is of its own units by them. Backward::

        da_t = ds·h_t        de = a ⊙ (da − Σ a_t·da_t)        dh_t = a_t·ds + de_t·w        dw = Σ de_t·h_t
    """

    pools = True

    def __init__(self, stack: StackWorkspace, arenas: Arenas) -> None:
        self._stack = stack
        self._w: Array | None = None  # of the parameters in use
        self.one_and_values, self.d_values = pooled_room(stack, arenas)
        self._weights, self._d_scores = (arenas.own.empty(stack.shape, stack.stack.dtype) for _ in range(2))

    def pool(self, views: dict[str, Array], masks: Masks | None) -> None:
        """See `Features`."""
        self._w, a = views[BLOCK][0], self._weights
        np.matmul(self._w, self._stack.one_and_outputs[1:], a.reshape(-1))
        if masks is not None and masks.pads:
            np.copyto(a, -np.inf, where=masks.padding)
            some = masks.present.any(axis=0)
            np.subtract(a, a.max(axis=0, where=some, initial=-np.inf), a, where=some)
        else:
            np.subtract(a, a.max(axis=0), a)
        np.exp(a, a)
        total = a.sum(axis=0)
        np.divide(a, np.where(total > 0, total, 1), a)  # of a lane without steps all are 0
        for direction in range(self._stack.stack.directions):
            rows, values = self._stack.outputs(-1, direction)
            np.einsum("utb,tb->ub", values, a, out=self.one_and_values[1:][rows])

    def spread(self) -> None:
        """See `Features`."""
        a, d_scores, d_values = self._weights, self._d_scores, self.d_values
        assert self._w is not None
        outputs = self._stack.one_and_outputs[1:].reshape(-1, *a.shape)
        np.einsum("utb,ub->tb", outputs, d_values, out=d_scores)
        np.subtract(d_scores, np.einsum("tb,tb->b", a, d_scores), d_scores)
        np.multiply(a, d_scores, d_scores)
        for direction in range(self._stack.stack.directions):
            rows, values = self._stack.outputs(-1, direction)
            by_step = self._stack.d_outputs[rows].reshape(values.shape)
            np.multiply(a, d_values[rows][:, None], by_step)
            by_step += self._w[rows, None, None] * d_scores

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """See `Features`."""
        for direction in range(self._stack.stack.directions):
            rows, values = self._stack.outputs(-1, direction)
            np.einsum("utb,tb->u", values, self._d_scores, out=d_views[BLOCK][0, rows])


def scores(features: int, dtype: np.dtype) -> dict[str, Module]:
    """The layer ``attention``."""
    return {"attention": Linear(features, 1, bias=False, dtype=dtype, _draw=False)}


ATTENTION = Pooled("attention", AttentionFeatures, scores)
