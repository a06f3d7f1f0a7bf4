"""From the outputs of a model that was trained with `CTCLoss` to labels: the best path, and prefix beam search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base.checks import ArgumentError, check_array, check_count
from ..base.parameters import Array
from ..cells.masks import check_lengths

__all__ = ["Hypothesis", "ctc_beam", "ctc_greedy"]


class Hypothesis(NamedTuple):
    """``labels`` ``(n,)`` int64, and their ``score``: the logarithm of their probability, in nats."""

    labels: Array
    score: float


def ctc_greedy(outputs: Array, lengths: Array | None = None, blank: int = 0) -> list[Array]:
    """The labels ``(n,)`` int64 of the most probable path of each lane: its best class at every step.

    `outputs` are logits ``(T, B, V)``; `lengths` ``(B,)`` are the steps of each lane that exist, None is all. Classes
    that follow themselves are one, and blanks are taken out. Raises ArgumentError, also for nan.
    """
    labels = []
    for lane in _check(outputs, lengths, blank):
        path = lane.argmax(axis=1)
        labels.append(path[(path != blank) & (np.diff(path, prepend=-1) != 0)])
    return labels


def ctc_beam(outputs: Array, lengths: Array | None = None, beam: int = 16, blank: int = 0) -> list[list[Hypothesis]]:
    """Of each lane up to `beam` hypotheses, the most probable one first, by prefix beam search.

    The arguments are as in `ctc_greedy`. After each step the `beam` best beginnings are kept; a score is the sum over
    the paths through those, so it is that of all paths, ``-CTCLoss(reduction="sum")``, if the beam is wide enough.
    Source: Hannun and others (2014), First-pass large vocabulary continuous speech recognition. Raises ArgumentError,
    also for nan.
    """
    beam = check_count("beam", beam)
    return [_search(_log_softmax(lane), beam, blank) for lane in _check(outputs, lengths, blank)]


def _check(outputs: Array, lengths: Array | None, blank: int) -> list[Array]:
    """The outputs of each lane ``(length, V)``."""
    check_array("outputs", outputs, ("T", "B", "V"))
    if outputs.dtype not in (np.float32, np.float64) or not outputs.shape[2]:
        raise ArgumentError("outputs", "float32 or float64 (T, B, V)", f"{outputs.dtype} {outputs.shape}")
    steps, lanes, classes = outputs.shape
    if check_count("blank", blank, 0) >= classes:
        raise ArgumentError("blank", f"one of the classes 0…{classes - 1}", blank)
    if lengths is not None and lanes:
        check_lengths(lengths, steps, lanes)
    of_lanes = [outputs[: steps if lengths is None else lengths[lane], lane] for lane in range(lanes)]
    for number, lane in enumerate(of_lanes):
        if not np.isfinite(lane.max(axis=1)).all():
            raise ArgumentError("outputs", "a best class at each step, which is finite", f"none in lane {number}")
    return of_lanes


def _log_softmax(logits: Array) -> Array:
    log_p: Array = logits - logits.max(axis=1, keepdims=True).astype(np.float64)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    return log_p


@np.errstate(divide="ignore", invalid="ignore")
def _search(log_p: Array, beam: int, blank: int) -> list[Hypothesis]:
    """The hypotheses of a lane with the log-probabilities `log_p` ``(T, V)``.

    A prefix is a number: the empty one is 0, and each other one is known by that of its parent and its last label. Of
    those in the beam there are two scores, of the paths that end in a blank, and of those that end in the label.
    """
    classes = log_p.shape[1]
    parents, lasts, children = [-1], [blank], dict[tuple[int, int], int]()
    prefixes, by_blank, by_label = [0], np.zeros(1), np.full(1, -np.inf)
    for row in log_p:
        count, last = len(prefixes), np.array([lasts[prefix] for prefix in prefixes])
        score = np.logaddexp(by_blank, by_label)
        longer = score[:, None] + row  # (count, V)
        longer[np.arange(count), last] = by_blank + row[last]  # the same label again needs a blank between
        longer[:, blank] = -np.inf
        by_blank, by_label = score + row[blank], by_label + row[last]
        places = {prefix: place for place, prefix in enumerate(prefixes)}
        for place, prefix in enumerate(prefixes):
            parent = places.get(parents[prefix])
            if parent is not None:  # its parent comes to it too
                by_label[place] = np.logaddexp(by_label[place], longer[parent, last[place]])
                longer[parent, last[place]] = -np.inf
        scores = np.concatenate([np.logaddexp(by_blank, by_label), longer.reshape(-1)])
        best = np.argsort(-scores, kind="stable")[:beam]
        best = best[scores[best] > -np.inf]
        found = []
        for choice in best.tolist():
            if choice < count:
                found.append(prefixes[choice])
                continue
            parent, label = divmod(choice - count, classes)
            key = prefixes[parent], label
            if key not in children:
                children[key] = len(parents)
                parents.append(key[0])
                lasts.append(label)
            found.append(children[key])
        none = np.full(count * classes, -np.inf)
        by_blank = np.concatenate([by_blank, none])[best]
        by_label = np.concatenate([by_label, longer.reshape(-1)])[best]
        prefixes = found
    scores = np.logaddexp(by_blank, by_label).tolist()
    labels = [_labels(prefix, parents, lasts) for prefix in prefixes]
    return [Hypothesis(*pair) for pair in zip(labels, scores, strict=True)]


def _labels(prefix: int, parents: list[int], lasts: list[int]) -> Array:
    labels = []
    while prefix:
        labels.append(lasts[prefix])
        prefix = parents[prefix]
    return np.array(labels[::-1], np.int64)
