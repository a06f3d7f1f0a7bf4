"""The time to train on a batch of each task, side by side with PyTorch in one run.

The sequences are made up, with the lengths and the sizes of the files that `accuracy_tasks.py` is about. Both train the
same networks with Adam on the same batches: of sequences shuffled, and sorted by length within pools. PyTorch runs with
one thread and with two, on packed sequences and on padded ones, which is another network where it reads both ways;
recurrio runs with the executor that ``auto`` chooses here. The contenders take turns, and each round gives one ratio of
times, of ours to the best of PyTorch's four.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl
import torch
import torch_tasks
import trio

from recurrio.core import Adam, CrossEntropyLoss, CTCLoss, EncoderDecoder, SequenceBatch, SequenceModel
from recurrio.core.audio.log_mel import BANDS
from recurrio.core.audio.transcriber import STEP_SIZE
from recurrio.pipeline import RaggedBatches, Report, Trainer

WARM = 20  # batches that do not count: the first of a shape take longer
TRIED = 200  # batches, of which auto takes some to choose by
LR, CLIP = 2e-3, 1.0
THREADS = 1, 2  # of PyTorch

Steps = Callable[[list[SequenceBatch]], float]  # the seconds of a batch, without the first ones


class Size(NamedTuple):
    """How long sequences are: the mean and the deviation, and no less and no more than these."""

    mean: float
    deviation: float
    least: int
    most: int

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`count` lengths."""
        return np.clip(np.rint(rng.normal(self.mean, self.deviation, count)), self.least, self.most).astype(int)


class Task(NamedTuple):
    """The network of a task, ours and PyTorch's, its batches without an end, and how many of them a round has."""

    name: str
    model: Callable[[], Any]
    net: Callable[[], Any]
    batches: RaggedBatches
    count: int
    shards: int = 1


def classify(size: Size, symbols: int | None, classes: int, batch_size: int, **options: Any) -> dict[str, Any]:  # noqa: ANN401 (of the model)
    """Sequences of so many symbols, or of features where that is None, with a class for each."""
    rng, count = np.random.default_rng(0), 60 * batch_size
    read = {"input_size": BANDS} if symbols is None else {"vocabulary_size": symbols}
    inputs = [
        rng.standard_normal((length, BANDS), np.float32)
        if symbols is None
        else rng.integers(0, symbols, length, np.int32)
        for length in size.draw(rng, count)
    ]
    return {
        "model": partial(SequenceModel, **read, output_size=classes, loss=CrossEntropyLoss(), **options),
        "net": partial(torch_tasks.Classifier, symbols, classes, **options),
        "batches": RaggedBatches(inputs, rng.integers(0, classes, count), batch_size, epochs=None),
    }


def translate(source: Size, target: Size, symbols: tuple[int, int], **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Pairs of sequences, the longer the longer by and large, with the end symbol behind the second one."""
    rng, count, end = np.random.default_rng(0), 60 * 64, symbols[1] - 1
    own = source.draw(rng, count)
    others = np.rint(target.mean / source.mean * own + rng.normal(0, target.deviation / 2, count)).astype(int)
    lengths = own, np.clip(others, target.least, target.most)
    inputs = [rng.integers(0, symbols[0], length, np.int32) for length in lengths[0]]
    targets = [np.append(rng.integers(0, end, length - 1, np.int32), np.int32(end)) for length in lengths[1]]
    return {
        "model": partial(EncoderDecoder, *symbols, start=end, end=end, **options),
        "net": partial(torch_tasks.EncoderDecoder, *symbols, **options),
        "batches": RaggedBatches(inputs, targets, epochs=None),
    }


def transcribe(size: Size, digits: int, **options: Any) -> dict[str, Any]:  # noqa: ANN401 (of the model)
    """Sequences of features, with up to so many of ten digits for each."""
    rng, count, blank = np.random.default_rng(0), 30 * 16, 11
    lengths = size.draw(rng, count)
    inputs = [rng.standard_normal((length, STEP_SIZE), np.float32) for length in lengths]
    targets = [rng.integers(1, blank, rng.integers(3, digits + 1), np.int32) for _ in inputs]
    ours = {"input_size": STEP_SIZE, "output_size": blank + 1, "loss": CTCLoss(blank=blank)}
    return {
        "model": partial(SequenceModel, **ours, **options),
        "net": partial(torch_tasks.Transcriber, blank + 1, **options),
        "batches": RaggedBatches(inputs, targets, 16, epochs=None),
    }


LSTM = {"cell": "lstm", "output": "last", "embedding_size": 32}
GRU = {"cell": "gru", "hidden_size": 192, "embedding_size": 96}
WORDS, NAMES, FRENCH = Size(22, 10, 2, 60), Size(7.3, 2.1, 2, 16), Size(8.0, 1.8, 3, 15)
BOTH = {"cell": "lstm", "output": "mean", "embedding_size": 64, "hidden_size": 64, "bidirectional": True}
PAIRS = Size(6.3, 1.3, 3, 10), FRENCH, (3331, 4130)

TASKS = [
    Task("sentiment, LSTM both ways, mean, H=64", **classify(WORDS, 8379, 2, 64, **BOTH), count=40),
    Task("intents, LSTM, H=64", **classify(Size(9.5, 3.5, 2, 30), 2618, 7, 64, **LSTM, hidden_size=64), count=100),
    Task("surnames, LSTM, H=128", **classify(NAMES, 83, 18, 64, **LSTM, hidden_size=128), count=80),
    Task("translation, GRU, H=192", **translate(*PAIRS, **GRU, attention=None), count=30, shards=2),
    Task("translation, GRU, attention, H=192", **translate(*PAIRS, **GRU, attention="dot"), count=30, shards=2),
    Task("digits, LSTM, H=64", **classify(Size(43, 12, 15, 90), None, 10, 36, **LSTM, hidden_size=64), count=60),
    Task(
        "strings of digits, LSTM both ways, CTC, H=64",
        **transcribe(Size(110, 25, 60, 180), 5, cell="lstm", hidden_size=64, bidirectional=True),
        count=30,
    ),
]


def torch_steps(task: Task, threads: int, *, packed: bool) -> Steps:
    """PyTorch with so many `threads`."""
    net = task.net()
    net.packed = packed
    optimizer = torch.optim.Adam(net.parameters(), LR)

    def run(batches: list[SequenceBatch]) -> float:
        torch.set_num_threads(threads)
        start = 0.0
        for number, batch in enumerate(batches):
            if number == WARM:
                start = perf_counter()
            torch_tasks.step(net, optimizer, batch)
        return (perf_counter() - start) / (len(batches) - WARM)

    return run


def train(task: Task, batches: list[SequenceBatch], executor: str) -> list[Report]:
    """The reports of a run of recurrio."""
    reports: list[Report] = []
    trainer = Trainer(task.model(seed=0), Adam(LR), clip=CLIP, executor=executor, shards=task.shards)
    trio.run(lambda: trainer.run(Given(batches), on_report=reports.append))
    return reports


class Given:
    """Batches that are there already, of which none is larger than ``largest``."""

    def __init__(self, batches: list[SequenceBatch]) -> None:
        shapes = [(max(len(batch.inputs), len(batch.targets)), batch.inputs.shape[1]) for batch in batches]
        self._batches, self.largest = batches, (max(shapes)[0], max(lanes for _, lanes in shapes))

    def __iter__(self) -> Iterator[SequenceBatch]:
        return iter(self._batches)


def recurrio_steps(task: Task, executor: str) -> Steps:
    """Seconds from report to report."""

    def run(batches: list[SequenceBatch]) -> float:
        reports = train(task, batches, executor)
        return (reports[-1].seconds - reports[WARM - 1].seconds) / (len(batches) - WARM)

    return run


def chosen(task: Task, batches: list[SequenceBatch]) -> str:
    """The executor that auto chooses."""
    return train(task, batches, "auto")[-1].executor


def contenders(task: Task) -> dict[str, Steps]:
    """PyTorch's four, and ours."""
    found = {
        f"PyTorch, {how}, {threads} thread{'s' * (threads > 1)}": torch_steps(task, threads, packed=how == "packed")
        for how in ("packed", "padded")
        for threads in THREADS
    }
    executor = chosen(task, [*islice(task.batches, TRIED)])
    return {**found, f"recurrio, {executor}": recurrio_steps(task, executor)}


def row(name: str, values: np.ndarray, ratios: np.ndarray) -> str:
    """The median of the seconds, and of the ratios with their quartiles."""
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    return f"  {name:28} {1e3 * np.median(values):8.2f} ms   {middle:.2f} ({low:.2f}–{high:.2f})"


def measure(task: Task, rounds: int) -> None:
    """Print the rows of a task; each round has other batches, the next of the epochs."""
    runs, stream = contenders(task), iter(task.batches)
    times: list[list[float]] = []
    for _ in range(rounds):
        batches = [*islice(stream, WARM + task.count)]
        times.append([run(batches) for run in runs.values()])
    seconds = np.array(times)
    best = seconds[:, :-1].min(axis=1)
    print(task.name)
    for name, values in zip(runs, seconds.T, strict=True):
        print(row(name, values, values / best), flush=True)


def main() -> None:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(description="The time to train the tasks beside PyTorch.")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="(%(default)s)")
    parser.add_argument("--task", type=int, choices=range(len(TASKS)), action="append", help="only this one (all)")
    options = parser.parse_args()
    threadpoolctl.threadpool_limits(1, user_api="blas")
    print(f"float32, a batch; {options.rounds} rounds; ratio to the best of PyTorch: median (quartiles)")
    for index in options.task or range(len(TASKS)):
        measure(TASKS[index], options.rounds)


if __name__ == "__main__":
    main()
