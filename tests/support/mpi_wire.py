"""A job's program: a run over the wire, of which it says how many bytes its parameters have and what differs from the
serial loop; then one without end, until somebody ends it."""

from __future__ import annotations

import itertools
import json
import sys

import numpy as np
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import train
from recurrio.pipeline import Trainer
from recurrio.pipeline.executors.mpi import serve_if_worker

BATCHES, VOCABULARY = 30, 50


def make_model() -> SequenceModel:
    return SequenceModel(VOCABULARY, embedding_size=16, hidden_size=64, seed=1)


def main() -> None:
    serve_if_worker()
    rng, shards = np.random.default_rng(0), int(sys.argv[1])
    batches = [SequenceBatch(*rng.integers(0, VOCABULARY, (2, 8, 8))) for _ in range(BATCHES)]
    options = {"shards": shards, "delay": 1, "seed": 3}
    models = [make_model() for _ in range(2)]
    list(train(models[0], Adam(0.01), batches, **options))
    print("begin", flush=True)
    sys.stdin.readline()
    trio.run(Trainer(models[1], Adam(0.01), executor="mpi", **options).run, batches)
    same = models[0].parameters.tobytes() == models[1].parameters.tobytes()
    print(json.dumps({"bytes": models[0].parameters.nbytes, "same": same}), flush=True)
    sys.stdin.readline()
    endless = Trainer(make_model(), Adam(0.01), executor="mpi", watchdog=2.0, **options)
    trio.run(endless.run, itertools.cycle(batches))


if __name__ == "__main__":
    main()
