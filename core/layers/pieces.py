"""A stack run over a long sequence without a way back: in pieces, in memory that does not grow with the steps.

Only what goes from layer to layer is as long as the sequence. The bits are those of one pass over all of it, because a
step does the same wherever it stands.
"""

from __future__ import annotations

import numpy as np

from ..base.arena import Arena, Arenas
from ..base.columns import copy_columns
from ..base.parameters import Array
from ..base.ranks import Rank
from ..cells.buffers import LayerSize, State, Weights
from ..cells.loop import Loop
from ..cells.masks import Masks
from .stack import Stack

__all__ = ["STEPS", "run_in_pieces"]

STEPS = 256  # of a piece


def run_in_pieces(
    stack: Stack, weights: list[Weights], x: Array, state: list[State], masks: Masks | None, out: Array
) -> None:
    """Run `stack` over `x` ``(I, T, B)`` into `out` ``(D·P, T, B)``, and leave the state after it in `state`.

    Both can be views of arrays in another layout.
    """
    D, (_, T, B) = stack.directions, x.shape
    both = [masks, masks.reversed() if masks is not None and D == 2 else None]
    for index, size in enumerate(stack.sizes):
        is_last = index == len(stack.sizes) - 1
        outputs = out if is_last else np.empty((D * size.output_size, T, B), stack.dtype)
        for direction in range(D):
            rows = slice(direction * size.output_size, (direction + 1) * size.output_size)
            backwards = slice(None, None, -1 if direction else 1)
            number = index * D + direction
            arrays = (x[:, backwards], outputs[rows, backwards])
            _run(stack, size, weights[number], *arrays, state[number], both[direction])
        x = outputs


def _run(
    stack: Stack, size: LayerSize, weights: Weights, x: Array, out: Array, state: State, masks: Masks | None
) -> None:
    """One layer in one direction, in the order of its steps."""
    _, T, B = x.shape
    loop: Loop | None = None
    for start in range(0, T, STEPS):
        now = slice(start, min(start + STEPS, T))
        count = now.stop - start
        if loop is None or loop.buffers.shape[0] != count:
            arenas = Arenas(Arena(), Arena())
            loop = Loop(stack.cell, count, B, size, stack.dtype, Rank(), arenas, stack.zoneout)
        piece = None if masks is None else Masks(masks.padding[now], masks.restart[now])
        copy_columns(x[:, now] if piece is None else np.where(piece.padding, 0, x[:, now]), loop.buffers.inputs)
        for first, before in zip(loop.first, state, strict=True):
            np.copyto(first, before)
        for _ in loop.forward(weights, piece):
            pass
        for after, last in zip(state, loop.last, strict=True):
            np.copyto(after, last)
        copy_columns(loop.buffers.outputs.reshape(-1, count, B), out[:, now])
