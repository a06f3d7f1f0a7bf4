"""Batches for an encoder–decoder: sources, and targets of other lengths."""

from __future__ import annotations

import numpy as np

from recurrio.core import EncoderDecoder, SequenceBatch

IGNORED = -100


def pad(sequences: list[list[int]], fill: int) -> np.ndarray:
    """The `sequences` as columns, the longest of which says how many steps there are."""
    padded = np.full((max(map(len, sequences)), len(sequences)), fill)
    for lane, sequence in enumerate(sequences):
        padded[: len(sequence), lane] = sequence
    return padded


def batch_of(sources: list[list[int]], targets: list[list[int]], end: int, fill: int = 0) -> SequenceBatch:
    """A batch of pairs, each target with the `end` behind it; `fill` stands in the padding of the sources."""
    lengths = np.array(list(map(len, sources)))
    return SequenceBatch(pad(sources, fill), pad([[*target, end] for target in targets], IGNORED), True, lengths)


def random_pairs(
    model: EncoderDecoder, count: int, steps: int, target_steps: int, lanes: int, seed: int = 0, least: int = 1
) -> list[SequenceBatch]:
    """Batches of sources of `least` to `steps` symbols, and of targets of 1 to `target_steps` with the end.

    The first batch has the longest of both, every third one no lengths.
    """
    rng, network, batches = np.random.default_rng(seed), model.network, []
    for number in range(count):
        lengths, ends = rng.integers(least, steps + 1, lanes), rng.integers(1, target_steps + 1, lanes)
        if not number:
            lengths[0], ends[-1] = steps, target_steps
        T, S = max(1, lengths.max()), ends.max()
        inputs = rng.integers(0, network.source_size, (T, lanes))
        targets = rng.integers(0, network.target_size, (S, lanes))
        targets[ends - 1, np.arange(lanes)] = model.end
        targets[np.arange(S)[:, None] >= ends] = IGNORED
        batches.append(SequenceBatch(inputs, targets, True, None if number % 3 == 2 else lengths))
    return batches
