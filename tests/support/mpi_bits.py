"""A job's program: runs of many kinds with the executor "mpi", beside the serial loop; what differs, as JSON.

``python -m support.mpi_bits EVERY [WORDS…]`` takes every so many of the cases that have ranks enough. Words are for
pytest, which then runs in rank 0.
"""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import numpy as np
import pytest
import trio
from mpi4py import MPI

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import train
from recurrio.pipeline import Trainer
from recurrio.pipeline.executors.mpi import serve_if_worker

T, B, COUNT, VOCABULARY = 6, 9, 5, 11
CASES = list(
    itertools.product(
        (1, 2, 4),  # shards
        (0, 1, 2),  # delay
        (0.0, 0.3),  # dropout
        ("none", "reset", "resets", "lengths", "all"),
        ("float32", "float64"),
        (1, 2),  # ranks of a shard
    )
)


def make_batches(masks: str) -> list[SequenceBatch]:
    rng = np.random.default_rng(5)
    made = []
    for number in range(COUNT):
        tokens = rng.integers(0, VOCABULARY, (2, T, B))
        reset: Any = rng.random((T, B)) < 0.2 if masks in ("resets", "all") else masks == "reset" and number % 2 == 0
        lengths = rng.integers(0, T + 1, B) if masks in ("lengths", "all") else None
        made.append(SequenceBatch(*tokens, reset, lengths))
    return made


def run(executor: str, shards: int, delay: int, dropout: float, masks: str, dtype: str, ranks: int) -> list[bytes]:
    """The bits of the losses, the weights, and all else that the next batch depends on."""
    sizes = {"embedding_size": 5, "hidden_size": 8, "num_layers": 2}
    model = SequenceModel(VOCABULARY, **sizes, dropout=dropout, dtype=dtype, seed=2)
    options = {"clip": 0.5, "shards": shards, "delay": delay, "ranks": ranks, "seed": 3}
    batches, losses = make_batches(masks), list[float]()
    if executor == "serial":
        losses += [step.loss for step in train(model, Adam(0.01), batches, **options)]
    else:
        trainer = Trainer(model, Adam(0.01), executor=executor, watchdog=60.0, **options)
        trio.run(lambda: trainer.run(batches, on_report=lambda report: losses.append(report.loss)))
    return [np.array(losses).tobytes(), model.parameters.tobytes()]


def sums_differ(comm: MPI.Intracomm) -> int:
    """How many of the sums that MPI's own reduction makes are not those in the order of the ranks; for all ranks."""
    own = np.random.default_rng(comm.Get_rank()).standard_normal(10_000).astype(np.float32)
    reduced = np.empty_like(own)
    comm.Allreduce(own, reduced)
    first, *others = comm.allgather(own)
    for other in others:
        first = first + other
    return int(np.count_nonzero(first != reduced))


def main() -> None:
    comm, every = MPI.COMM_WORLD, int(sys.argv[1])
    by_reduction = sums_differ(comm)
    serve_if_worker()
    cases = [case for case in CASES if case[0] < comm.Get_size()][::every]
    wrong = [case for case in cases if run("mpi", *case) != run("serial", *case)]
    same = run("serial", *CASES[0]) == run("serial", *CASES[-1])
    found = {"cases": len(cases), "wrong": wrong, "all the same": same, "differ by reduction": by_reduction}
    code = pytest.main(sys.argv[2:]) if sys.argv[2:] else 0
    print(json.dumps({**found, "pytest": int(code)}), flush=True)


if __name__ == "__main__":
    main()
