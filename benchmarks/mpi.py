"""The MPI executor: a training step beside worker processes, what crosses the wire, and whom it pays.

    mpiexec -n 3 python benchmarks/mpi.py     # measures steps on this machine, and counts what is handed to MPI
    python benchmarks/mpi.py --calculate      # measures passes, and calculates what they would gain over a link

Both print tables of Markdown. In the first, rounds of both executors take turns, and the ratio is of each round:
median, lowest and highest. In the second nothing is sent: a step with M shards on M machines takes the passes of a
shard, the update, and the bytes of docs/distributed.md over the speed of the link, none of which is hidden behind
another; alone, one core takes the passes of all shards, and the update.
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.base.blas import blas_threads
from recurrio.core.optim.updater import Updater
from recurrio.core.serial import train
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors.mpi import serve_if_worker
from recurrio.pipeline.executors.mpi_link import Link

VOCABULARY, T, SHARDS = 80, 32, 2
SIZES = ((256, 16), (256, 64), (512, 16), (512, 64))  # hidden units, lanes of a shard
TOKENS, LINKS = (1024, 4096), (1, 10, 25)  # of a shard; Gbit/s
MANY = (2, 4, 8)  # shards


def make_model(hidden: int) -> SequenceModel:
    return SequenceModel(VOCABULARY, embedding_size=64, hidden_size=hidden, seed=1)


def make_batches(count: int, lanes: int) -> list[SequenceBatch]:
    rng = np.random.default_rng(0)
    return [SequenceBatch(*rng.integers(0, VOCABULARY, (2, T, lanes))) for _ in range(count)]


def step_time(executor: str, hidden: int, lanes: int, delay: int, steps: int) -> float:
    """Milliseconds a step: the median of those behind the first ones."""
    times: list[float] = []
    trainer = Trainer(make_model(hidden), Adam(0.002), clip=1.0, shards=SHARDS, delay=delay, ranks=1, executor=executor)

    def on_report(report: Report) -> None:
        times.append(time.perf_counter())

    trio.run(lambda: trainer.run(make_batches(steps, SHARDS * lanes), on_report=on_report))
    pairs = [(after - before) / 2 for before, after in zip(times[4:], times[6:], strict=False)]
    return 1e3 * median(pairs)


class Counted:
    """Bytes of messages out of this rank, and into it."""

    out = back = 0


@contextmanager
def counting() -> Iterator[Counted]:
    """Count what goes through links in the block."""
    counted, send, send_array, post, receive = Counted(), Link.send, Link.send_array, Link.post, Link.receive

    def count_send(self: Link, to: int, tag: int, thing: Any) -> None:  # noqa: ANN401 (anything)
        counted.out += len(pickle.dumps(thing))
        send(self, to, tag, thing)

    def count_send_array(self: Link, to: int, tag: int, array: Any) -> None:  # noqa: ANN401 (an array)
        counted.out += array.nbytes
        send_array(self, to, tag, array)

    def count_post(self: Link, source: int, tag: int, array: Any) -> Any:  # noqa: ANN401 (MPI's)
        counted.back += array.nbytes
        return post(self, source, tag, array)

    async def count_receive(self: Link, source: int, tag: int) -> Any:  # noqa: ANN401 (anything)
        thing = await receive(self, source, tag)
        counted.back += len(pickle.dumps(thing))
        return thing

    with (
        patch.object(Link, "send", count_send),
        patch.object(Link, "send_array", count_send_array),
        patch.object(Link, "post", count_post),
        patch.object(Link, "receive", count_receive),
    ):
        yield counted


def measure(rounds: int, steps: int) -> None:
    """Print what steps take, and what is sent."""
    print("| H, tokens a shard, delay | process, ms | mpi, ms | ratio | out, MB a step (formula) | back (formula) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for hidden, lanes in SIZES:
        size = make_model(hidden).parameters.nbytes
        batch, states = 2 * 8 * T * SHARDS * lanes, 4 * 2 * hidden * SHARDS * lanes
        for delay in (0, 1):
            pairs = []
            for _ in range(rounds):
                process = step_time("process", hidden, lanes, delay, steps)
                with counting() as counted:
                    pairs.append((process, step_time("mpi", hidden, lanes, delay, steps)))
            ratios = [mpi / process for process, mpi in pairs]
            sent, back = counted.out / steps / 1e6, counted.back / steps / 1e6
            print(
                f"| {hidden}, {T * lanes:,}, {delay} | {median(one for one, _ in pairs):.1f} "
                f"| {median(other for _, other in pairs):.1f} "
                f"| {median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) "
                f"| {sent:.2f} ({(SHARDS * size + batch) / 1e6:.2f}) "
                f"| {back:.2f} ({(SHARDS * size + states) / 1e6:.2f}) |",
                flush=True,
            )


def pass_and_update(hidden: int, tokens: int, steps: int) -> tuple[float, float, int]:
    """Seconds of the passes of a shard, and of the update, with one BLAS thread; the bytes of the parameters."""
    times, model = [time.perf_counter()], make_model(hidden)
    for _ in train(model, Adam(0.002), make_batches(steps, tokens // T), clip=1.0):
        times.append(time.perf_counter())  # noqa: PERF401 (each is when it is)
    both = median(np.diff(times[2:]))
    gradient, out, updater = np.ones_like(model.parameters), model.parameters.copy(), Updater(Adam(0.002), 1.0)
    seconds = []
    with blas_threads(1):
        for number in range(steps):
            begun = time.perf_counter()
            updater.apply(number, model.parameters, [gradient], 1.0, out)
            seconds.append(time.perf_counter() - begun)
    return both - median(seconds), median(seconds), model.parameters.nbytes


def on_the_wire(size: int, shards: int) -> float:
    """How many bytes one behind the other go over the busiest link in a step."""
    return 2 * size * (shards if shards < 4 else 1 + (shards - 1) / shards)


def calculate(steps: int) -> None:
    """Print how many times faster M machines would be."""
    links = [f"{shards} shards, {link} Gbit/s" for shards in MANY for link in LINKS]
    print(f"| H | tokens a shard | passes, ms | {' | '.join(links)} |")
    print("| --- " * (3 + len(links)) + "|")
    for hidden in (256, 512, 1024):
        for tokens in TOKENS:
            passes, update, size = pass_and_update(hidden, tokens, steps)
            cells = []
            for shards in MANY:
                for link in LINKS:
                    together = passes + update + 8 * on_the_wire(size, shards) / (link * 1e9)
                    cells.append(f"{(shards * passes + update) / together:.1f}")
            print(f"| {hidden} | {tokens:,} | {1e3 * passes:.0f} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calculate", action="store_true", help="the second table")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=24)
    arguments = parser.parse_args()
    if arguments.calculate:
        calculate(arguments.steps)
    else:
        measure(arguments.rounds, arguments.steps)


if __name__ == "__main__":
    serve_if_worker()
    main()
