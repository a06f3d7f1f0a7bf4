"""Connectionist temporal classification: the loss of labels in an order that is known, at steps that are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..base.arena import Arena
from ..base.checks import ArgumentError, check_array, check_count
from ..base.parameters import Array
from .loss import Loss

__all__ = ["CTCLoss"]


class _Way(NamedTuple):
    """The states that a lane goes through, `K` = 2S + 3 of them: start, blank, label, blank, …, label, blank, end.

    A lane with fewer labels has its end earlier, and nothing comes behind that. ``counts`` ``(B,)`` are its labels,
    ``signs`` ``(S + 2, B)`` those labels between a start and ends, which are −1. ``log_p`` ``(T, K, B)`` is the
    log-probability of a state's class at a step, −∞ for start and end, and what is behind it; ``present`` ``(T, B)``
    says which steps count.
    """

    counts: Array
    signs: Array
    log_p: Array
    present: Array


class CTC:
    """The kernel of `CTCLoss`, of `N` columns, which are `T` steps of `B` lanes, one step after the other.

    `blank` is the class of no label. With `by_label` the loss of a lane is divided by the number of its labels.
    """

    def __init__(
        self, blank: int, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None, *, by_label: bool
    ) -> None:
        self.outputs = (arena or Arena()).empty((features, columns), dtype)
        self._blank, self._by_label = blank, by_label
        self._way: _Way | None = None

    def forward(self, targets: Array, mask: Array | None = None) -> float:
        """The sum of the losses of the lanes; `targets` ``(S, B)``, `mask` ``(T, B)``. It uses ``outputs`` up."""
        lanes = targets.shape[1]
        if not lanes:
            return 0.0
        log_p = self.outputs.reshape(len(self.outputs), -1, lanes)
        present = np.ones(log_p.shape[1:], bool) if mask is None else mask
        np.copyto(log_p, 0, where=~present)
        np.subtract(log_p, np.maximum.reduce(log_p, axis=0), log_p)
        np.subtract(log_p, np.log(np.add.reduce(np.exp(log_p), axis=0)), log_p)

        labels = targets >= 0
        counts = np.add.reduce(labels, axis=0, dtype=np.intp)
        twins = np.add.reduce((targets[1:] == targets[:-1]) & labels[1:], axis=0, dtype=np.intp)
        possible = counts + twins <= np.add.reduce(present, axis=0, dtype=np.intp)
        counts[~possible] = 0
        self._way = way = _way(self._blank, log_p, targets, counts, present)
        self._share = (1 / np.maximum(counts, 1) if self._by_label else np.ones(lanes)).astype(log_p.dtype)

        self._arrivals, moved = _both_ways(way)
        losses = -(self._arrivals[-1][2 * counts + 2, np.arange(lanes)] + moved)
        self._none = ~possible | (losses == np.inf)
        losses[losses == np.inf] = 0
        losses[~possible] *= 0  # nan stays
        return float(np.add.reduce(losses * self._share, dtype=np.float64))

    def backward(self, scale: float) -> Array:
        """`scale` times the gradient of the sum, ``(F, N)``; it takes the place of ``outputs``. Once only."""
        way, self._way = self._way, None
        if way is None:
            return self.outputs
        # The probability that a lane is in a state at a step: that of what is before it times that of what comes.
        lanes = way.present.shape[1]
        probabilities, behind = self._arrivals[:-1, :, :lanes], self._arrivals[-2::-1, ::-1, lanes:]
        del self._arrivals
        probabilities += way.log_p
        probabilities += behind
        probabilities -= np.maximum.reduce(probabilities, axis=1, keepdims=True, initial=_lowest(behind.dtype))
        np.exp(probabilities, probabilities)
        probabilities /= np.add.reduce(probabilities, axis=1, keepdims=True)

        d_outputs = self.outputs.reshape(len(self.outputs), -1, lanes)
        np.exp(d_outputs, d_outputs)
        d_outputs[self._blank] -= np.add.reduce(probabilities[:, 1::2], axis=1)
        for place in range(1, len(way.signs) - 1):  # a class can be there twice, but not at one place of one lane
            own = np.flatnonzero(way.counts >= place)
            d_outputs[way.signs[place, own], :, own] -= probabilities[:, 2 * place, own].T
        d_outputs *= scale * self._share
        np.copyto(d_outputs, 0, where=~way.present | self._none)
        return self.outputs


def _way(blank: int, log_p: Array, targets: Array, counts: Array, present: Array) -> _Way:
    """The states of lanes with `counts` labels, and their log-probabilities from those of the classes ``(F, T, B)``."""
    (features, steps, lanes), most = log_p.shape, int(counts.max())
    signs = np.full((most + 2, lanes), -1, np.intp)
    np.copyto(signs[1:-1], targets[:most], where=np.arange(most)[:, None] < counts, casting="same_kind")
    classes = np.full((2 * most + 3, lanes), blank)
    np.maximum(signs, 0, out=classes[::2])
    by_step = np.ascontiguousarray(log_p.transpose(1, 0, 2)).reshape(steps, features * lanes)
    of_states = by_step.take(classes * lanes + np.arange(lanes), axis=1)
    states = np.arange(len(classes))[:, None]
    np.copyto(of_states, -np.inf, where=(states == 0) | (states > 2 * counts + 1))
    return _Way(counts, signs, of_states, present)


def _both_ways(way: _Way) -> tuple[Array, Array]:
    """`_sweep` from the start and, behind these lanes, from the end back: at once, because a step costs its calls."""
    end = 2 * (len(way.signs) - 2 - way.counts)  # counted from the last state
    arrivals, moved = _sweep(
        np.concatenate((way.log_p, way.log_p[::-1, ::-1]), axis=2),
        np.concatenate((way.signs, way.signs[::-1]), axis=1),
        np.concatenate((np.zeros_like(end), end)),
        np.concatenate((way.present, way.present[::-1]), axis=1),
    )
    return arrivals, moved[: len(end)]


@np.errstate(divide="ignore")  # the logarithm of 0 is what is meant
def _sweep(log_p: Array, signs: Array, starts: Array, present: Array) -> tuple[Array, Array]:
    """The log-probabilities ``(T + 1, K, B)`` to come to a state at a step from ``starts`` ``(B,)``.

    What a state says at that step is not in it. So that they stay near 0, they are without what is the same for all
    states of a lane; the second array, ``(B,)`` float64, is what is to be added to those at the end.

    A state comes from itself, from the one before, or from two before, where that is a label, or the start, and not the
    same as its own: two labels that are the same have a blank between them. Where a step does not count nothing moves.
    """
    (steps, states, lanes), dtype = log_p.shape, log_p.dtype
    lowest = _lowest(dtype)  # in place of −∞, which cannot be subtracted from itself
    room = np.full((2 + states, lanes), -np.inf, dtype)
    now, columns = room[2:], np.arange(lanes)
    now[starts, columns] = 0
    before = np.lib.stride_tricks.sliding_window_view(room, states, axis=0).transpose(0, 2, 1)  # (3, K, B)
    barred = np.zeros((3, states, lanes), dtype)
    barred[0] = -np.inf
    np.copyto(barred[0, 2::2], 0, where=signs[1:] != signs[:-1])
    ways, top, after = (np.empty(shape, dtype) for shape in ((3, states, lanes), (states, lanes), (states, lanes)))
    arrivals, moved = np.empty((steps + 1, states, lanes), dtype), np.empty((steps, lanes), dtype)
    for step, here in enumerate(arrivals):
        np.add(before, barred, ways)
        np.maximum.reduce(ways, axis=0, out=top, initial=lowest)
        np.subtract(ways, top, ways)
        np.exp(ways, ways)
        np.add.reduce(ways, axis=0, out=here)
        np.log(here, here)
        np.add(here, top, here)
        if step < steps:
            np.add(here, log_p[step], after)
            np.maximum.reduce(after, axis=0, out=moved[step], initial=lowest)
            np.subtract(after, moved[step], after)
            np.copyto(now, after, where=present[step])
    return arrivals, np.add.reduce(moved, axis=0, dtype=np.float64, where=present)


def _lowest(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).min)


@dataclass(frozen=True)
class CTCLoss(Loss):
    """``−log p(labels)`` in nats: the sum over all ways to lay a lane's labels over its steps, blanks between them.

    Outputs are logits ``(T, B, V)``, of which the class `blank` is that of no label. Targets are ``(S, B)`` integers:
    each lane's labels, from 0 to ``V−1`` and not the blank, with negative numbers behind them; a lane may have none.
    S need not be T. `mask` ``(T, B)`` says which steps count, as ``np.arange(T)[:, None] < lengths``; the others are as
    if they were not there. Outputs that are log-probabilities are logits too.

    The mean is torch's: each lane's loss is divided by the number of its labels, or by 1, and the sum by that of the
    lanes; here only lanes with a step that counts are lanes. As with torch's ``zero_infinity=True``, a lane without any
    way has a loss and a gradient of 0, and the mean counts it: where its labels do not fit into its steps, two that are
    the same taking one more, or where outputs of −∞ rule all ways out. nan always comes out.
    Source: Graves and others (2006), Connectionist temporal classification; ``torch.nn.CTCLoss``.
    """

    blank: int = 0
    name = "ctc"
    by_lane = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "blank", check_count("blank", self.blank, 0))

    def target_array(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[tuple[int, ...], np.dtype]:
        """Labels. A lane with more of them than steps is like one with a single one more: what follows is not read."""
        return (shape[0] + 1, *shape[1:-1]), np.dtype(np.int64)

    def kernel(self, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None) -> CTC:
        """See `Loss`."""
        self._check_blank(features)
        return CTC(self.blank, features, columns, dtype, arena, by_label=self.reduction == "mean")

    def _check_blank(self, features: int) -> None:
        if self.blank >= features:
            raise ArgumentError("blank", f"one of the classes 0…{features - 1}", self.blank)

    def _check_targets(self, shape: tuple[int, ...], dtype: np.dtype, targets: Array, mask: Array | None) -> None:
        if len(shape) != 3:
            raise ArgumentError("outputs", "(T, B, F)", shape)
        self._check_blank(shape[-1])
        check_array("targets", targets, ("S", shape[1]))
        if targets.dtype.kind not in "iu":
            raise ArgumentError("targets", "an array of integers", f"{targets.dtype} {targets.shape}")
        wrong = (targets >= shape[-1]) | (targets == self.blank)
        wrong[1:] |= (targets[1:] >= 0) & (targets[:-1] < 0)
        if mask is not None:
            wrong &= mask.any(axis=0)
        if np.count_nonzero(wrong):
            got = f"{targets[wrong][0]} at {tuple(np.argwhere(wrong)[0].tolist())}"
            expected = f"labels in 0…{shape[-1] - 1} without the blank, {self.blank}, and behind them negative numbers"
            raise ArgumentError("targets", expected, got)

    def _count(self, targets: Array, mask: Array | None, features: int | None) -> float:
        return float(targets.shape[1] if mask is None else np.count_nonzero(mask.any(axis=0)))
