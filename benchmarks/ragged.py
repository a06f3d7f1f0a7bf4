"""What ragged batches cost: the time of a token in them over that in batches where all sequences have one length.

An LSTM of 128 units on embedded indices, its last output or, where it reads both ways, the mean; sequences of 1 to 99
steps, each length as likely, and of 50 steps. The contenders take turns, and each round gives one ratio. PyTorch packs
the ragged ones; "padded" is what it takes where it computes the padding too.
"""

from __future__ import annotations

import argparse

import numpy as np
import threadpoolctl
from tasks import WARM, Size, Steps, Task, chosen, classify, recurrio_steps, torch_steps

from recurrio.core import SequenceBatch
from recurrio.pipeline import RaggedBatches

LANES, MOST, SYMBOLS, COUNT = 32, 99, 1000, 60  # of a batch, steps, and batches of a round
MEAN = Size((1 + MOST) / 2, 0, 1, MOST)


def make_task(output: str, *, both: bool) -> Task:
    """The network."""
    options = {"cell": "lstm", "output": output, "embedding_size": 64, "hidden_size": 128, "bidirectional": both}
    return Task(f"LSTM{' both ways' * both}, {output}", **classify(MEAN, SYMBOLS, 2, LANES, **options), count=COUNT)


def make_batches(seed: int) -> dict[str, list[SequenceBatch]]:
    """Ragged ones, and even ones."""
    rng, classes = np.random.default_rng(seed), np.zeros(COUNT * LANES, int)
    lengths = rng.integers(1, 1 + MOST, COUNT * LANES)
    ragged = RaggedBatches([rng.integers(0, SYMBOLS, length, np.int32) for length in lengths], classes, LANES)
    even = RaggedBatches([rng.integers(0, SYMBOLS, int(MEAN.mean), np.int32) for _ in lengths], classes, LANES)
    return {"ragged": [*ragged], "even": [*even]}


def per_token(run: Steps, batches: list[SequenceBatch]) -> float:
    """Seconds."""
    return run(batches) / np.mean([np.sum(batch.lengths) for batch in batches[WARM:]])


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="Ragged batches beside even ones.")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="(%(default)s)")
    options = parser.parse_args()
    threadpoolctl.threadpool_limits(1, user_api="blas")
    print(f"ragged ÷ even, by token; {options.rounds} rounds: median (quartiles)")
    for task in (make_task("last", both=False), make_task("mean", both=True)):
        ours = recurrio_steps(task, chosen(task, make_batches(0)["ragged"]))
        packed, padded = (torch_steps(task, 1, packed=packed) for packed in (True, False))
        ratios: dict[str, list[float]] = {"recurrio": [], "PyTorch, packed": [], "PyTorch, padded": []}
        for number in range(options.rounds):
            batches = make_batches(number)
            even = {run: per_token(run, batches["even"]) for run in (ours, padded)}
            for name, run in zip(ratios, (ours, packed, padded), strict=True):
                ratios[name].append(per_token(run, batches["ragged"]) / even[ours if run is ours else padded])
        print(task.name)
        for name, values in ratios.items():
            low, middle, high = np.percentile(values, (25, 50, 75))
            print(f"  {name:16} {middle:.2f} ({low:.2f}–{high:.2f})", flush=True)


if __name__ == "__main__":
    main()
