"""A whole training step, side by side with PyTorch and JAX in one run.

LSTM → Linear → cross-entropy → clip by norm → Adam, float32, over T steps of B lanes with I features and H units; the
row "tokens" is a character model, whose inputs are embedded. PyTorch runs with one thread and with two. recurrio runs
one batch after the other, with a delay of 0 and of 1, with the executor that ``auto`` chooses here; "in turn" is all of
it in one thread. The contenders take turns, and each round gives one ratio of means, so that a machine whose speed
drifts still compares. The better of PyTorch's two and JAX counts, in each round.

The floor is the products alone, 6·T·B·4H·(I+H) operations, at the speed of a large ``sgemm`` on one core.
"""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import NamedTuple

import numpy as np
import threadpoolctl
import trio
from others import CLIP, LR, Steps, jax_steps, torch_steps

from recurrio.core import Adam, CrossEntropyLoss, SequenceBatch, SequenceModel
from recurrio.pipeline import Report, Trainer

WARM = 4  # steps that do not count


class Size(NamedTuple):
    """Time steps, lanes, features, hidden units and outputs; whether the inputs are tokens; steps of a round."""

    T: int
    B: int
    I: int
    H: int
    V: int = 64
    tokens: bool = False
    steps: int = 30


SIZES = [
    Size(32, 1, 16, 32, steps=100),
    Size(32, 8, 16, 32, steps=100),
    Size(64, 16, 32, 64, steps=40),
    Size(64, 32, 64, 128, steps=20),
    Size(64, 32, 128, 256, steps=12),
    Size(64, 64, 256, 512, steps=6),
    Size(64, 32, 64, 128, 66, tokens=True, steps=20),
]


def make_batches(size: Size, count: int) -> list[SequenceBatch]:
    """Random ones."""
    rng, shape = np.random.default_rng(0), (size.T, size.B)

    def tokens() -> np.ndarray:
        return rng.integers(0, size.V, shape, np.int32)

    def features() -> np.ndarray:
        return rng.standard_normal((*shape, size.I), np.float32)

    return [SequenceBatch(tokens() if size.tokens else features(), tokens()) for _ in range(count)]


def train(size: Size, batches: list[SequenceBatch], **options: object) -> list[Report]:
    """The reports of a run of recurrio."""
    inputs = {"vocabulary_size": size.V, "embedding_size": size.I} if size.tokens else {"input_size": size.I}
    model = SequenceModel(**inputs, hidden_size=size.H, output_size=size.V, loss=CrossEntropyLoss(), seed=0)
    reports: list[Report] = []
    trainer = Trainer(model, Adam(LR), clip=CLIP, **options)
    trio.run(lambda: trainer.run(batches, on_report=reports.append))
    return reports


def recurrio_steps(size: Size, **options: object) -> Steps:
    """Seconds from report to report."""

    def run(batches: list[SequenceBatch]) -> list[float]:
        return list(np.diff([0.0, *(report.seconds for report in train(size, batches, **options))]))

    return run


def chosen(size: Size, delay: int) -> str:
    """The executor that auto chooses; where passes are short, it takes more of them."""
    count = 150 if size.steps >= 40 else 40
    return train(size, make_batches(size, 2) * (count // 2), delay=delay)[-1].executor


def gflops() -> float:
    """Of a large product on one core."""
    a, b = np.ones((1024, 1024), np.float32), np.ones((1024, 1024), np.float32)
    best = np.inf
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        for _ in range(20):
            start = perf_counter()
            a @ b
            best = min(best, perf_counter() - start)
    return 2 * 1024**3 / best / 1e9


def measure(size: Size, rounds: int) -> None:
    """Print the row of one size."""
    batches = make_batches(size, WARM + size.steps)
    executors = [chosen(size, delay) for delay in (0, 1)]
    shapes = {"V": size.V, "I": size.I, "H": size.H, "tokens": size.tokens}
    contenders: dict[str, Steps] = {
        "PyTorch, 1 thread": torch_steps(**shapes, threads=1),
        "PyTorch, 2 threads": torch_steps(**shapes, threads=2),
        "JAX": jax_steps(**shapes),
        "recurrio, in turn": recurrio_steps(size, executor="inline", ranks=1),
        f"recurrio, delay 0, {executors[0]}": recurrio_steps(size, executor=executors[0]),
        f"recurrio, delay 1, {executors[1]}": recurrio_steps(size, executor=executors[1], delay=1),
    }
    means: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, steps in contenders.items():
            means[name].append(1e3 * float(np.mean(steps(batches)[WARM:])))
    best = np.min([means[name] for name in list(contenders)[:3]], axis=0)
    floor = 6 * size.T * size.B * 4 * size.H * (size.I + size.H) / gflops() / 1e6
    kind = ", tokens" if size.tokens else ""
    print(f"T={size.T} B={size.B} I={size.I} H={size.H}{kind}; floor {floor:.2f} ms on one core")
    for name, values in means.items():
        low, middle, high = np.percentile(np.array(values) / best, (25, 50, 75))
        print(f"  {name:28} {np.median(values):8.2f} ms   {middle:.2f} ({low:.2f}–{high:.2f})")
    for delay, executor in enumerate(executors):
        stages = train(size, batches, delay=delay, executor=executor)[-1].stages
        shares = ", ".join(f"{stage.name} {stage.busy / stage.seconds:.0%}" for stage in stages)
        print(f"  busy at delay {delay}: {shares}")
    print(flush=True)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="A training step beside PyTorch and JAX.")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="(%(default)s)")
    parser.add_argument("--size", type=int, choices=range(len(SIZES)), action="append", help="only this row (all)")
    options = parser.parse_args()
    print(f"a training step, {options.rounds} rounds; ratio to the better of PyTorch and JAX: median (quartiles)\n")
    for index in options.size or range(len(SIZES)):
        measure(SIZES[index], options.rounds)


if __name__ == "__main__":
    main()
