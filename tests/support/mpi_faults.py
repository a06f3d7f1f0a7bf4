"""A job's program: runs that fail, in one way after the other, each followed by one that is as it should be.

What fails is planted in the workers: a pass of a model of 11 hidden units, and the arithmetic of two BLAS threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.model.shard import Shard
from recurrio.core.serial import train
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors import mpi, mpi_worker
from recurrio.pipeline.launch import launched_rank

LATE = 20  # batches


def make_batches(count: int) -> list[SequenceBatch]:
    rng = np.random.default_rng(0)
    return [SequenceBatch(*rng.integers(0, 9, (2, 6, 8)), reset=number % 7 == 0) for number in range(count)]


def plant() -> None:
    """Let this worker fail where it is to."""
    forward, backward, arithmetic = Shard.forward, Shard.backward, mpi_worker.arithmetic

    def fails(passing: Callable[..., Any]) -> Callable[..., Any]:
        def one(self: Shard, *arguments: Any) -> Any:  # noqa: ANN401 (the pass's)
            if self._ranks[0]._seed[:1] == (13,) and launched_rank() == 2:
                one.count += 1  # type: ignore[attr-defined]
                if one.count == LATE:  # type: ignore[attr-defined]
                    raise MemoryError("no room for a pass")
            return passing(self, *arguments)

        one.count = 0  # type: ignore[attr-defined]
        return one

    def other(threads: int) -> dict[str, str]:
        return {**arithmetic(threads), **({"kernels": "abacus"} if threads == 2 and launched_rank() == 2 else {})}

    Shard.forward, Shard.backward = fails(forward), fails(backward)  # type: ignore[method-assign]
    mpi_worker.arithmetic = other


def run(shards: int, delay: int = 1, *, stop: int = 0, fail: int = 0, **options: Any) -> str:  # noqa: ANN401 (Trainer's)
    """What it has raised; or what is not as in the serial loop, if anything."""
    model = SequenceModel(9, embedding_size=5, hidden_size=8, seed=1)
    given = {"shards": shards, "delay": delay, "seed": 3, **options}

    def on_report(report: Report) -> None:
        if report.step == stop:
            trainer.stop(0.0)
        if report.step == fail:
            raise KeyError("of a listener")

    try:
        trainer = Trainer(model, Adam(0.01), executor="mpi", watchdog=30.0, **given)
        trio.run(lambda: trainer.run(make_batches(60), on_report=on_report))
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    else:
        said = ""
    options.pop("blas_threads", None)
    expected = SequenceModel(9, embedding_size=5, hidden_size=8, seed=1)
    given.pop("blas_threads", None)
    list(train(expected, Adam(0.01), make_batches(60)[: trainer.step], **given))
    if expected.parameters.tobytes() != model.parameters.tobytes():
        said += f" and other bits after {trainer.step} batches"
    return said


def refused(shards: int) -> str:
    """Why so many shards cannot be trained here."""
    try:
        Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), shards=shards, executor="mpi")
    except ValueError as error:
        return str(error)
    return ""


def main() -> None:
    if launched_rank():
        plant()
    mpi.serve_if_worker()
    found: dict[str, Any] = {"ranks are too few": refused(5)}
    for shards in (2, 4):
        found[f"{shards} shards"] = {
            "a worker fails": run(shards, seed=13),
            "a listener fails": run(shards, fail=7),
            "it is stopped": run(shards, stop=9),
            "another arithmetic": run(shards, blas_threads=2),
            "all is well": run(shards),
        }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
