"""A whole training step of the character model, side by side with PyTorch in one run.

T=64, B=32, embedding 64, LSTM 128, head, cross-entropy, clipping, Adagrad, float32. PyTorch runs with one thread and
with two, and counts with the better one; recurrio runs as `Trainer` does by default. The three take turns, a dozen
steps each, and each round gives one ratio of medians, so that a machine whose speed drifts still compares.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

import numpy as np
import torch
import trio

from recurrio.core import Adagrad, SequenceBatch, SequenceModel
from recurrio.pipeline import Report, Trainer

T, B, I, H, V = 64, 32, 64, 128, 66
WARM, COUNTED = 3, 12


class Net(torch.nn.Module):
    """The same model in PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.rnn, self.head = torch.nn.Embedding(V, I), torch.nn.LSTM(I, H), torch.nn.Linear(H, V)

    def forward(self, tokens: torch.Tensor, state: object) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Logits and the new state."""
        output, state = self.rnn(self.embedding(tokens), state)
        return self.head(output), state


def torch_steps(batches: list[SequenceBatch], threads: int) -> list[float]:
    """Seconds of each training step."""
    torch.set_num_threads(threads)
    net = Net()
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.05)
    state, times = None, []
    for batch in batches:
        start = perf_counter()
        inputs, targets = (torch.from_numpy(array).long() for array in batch[:2])
        optimizer.zero_grad()
        logits, state = net(inputs, state)
        state = tuple(part.detach() for part in state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        loss.item()
        times.append(perf_counter() - start)
    return times[WARM:]


def recurrio_steps(batches: list[SequenceBatch], **options: object) -> list[float]:
    """Seconds from report to report."""
    model = SequenceModel(V, embedding_size=I, hidden_size=H)
    reports: list[Report] = []
    trainer = Trainer(model, Adagrad(0.05), clip=1.0, **options)
    trio.run(lambda: trainer.run(batches, on_report=reports.append))
    ends = [report.seconds for report in reports]
    return list(np.diff(ends))[WARM - 1 :]


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="A training step beside PyTorch.")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="(%(default)s)")
    rounds = parser.parse_args().rounds
    tokens = np.random.default_rng(0).integers(0, V, (WARM + COUNTED, 2, T, B), np.int32)
    batches = [SequenceBatch(*pair) for pair in tokens]
    contenders = {
        "PyTorch, 1 thread": lambda: torch_steps(batches, 1),
        "PyTorch, 2 threads": lambda: torch_steps(batches, 2),
        "recurrio": lambda: recurrio_steps(batches),
        "recurrio, 1 process": lambda: recurrio_steps(batches, executor="inline"),
    }
    medians: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, steps in contenders.items():
            medians[name].append(1e3 * median(steps()))
    best = [min(pair) for pair in zip(medians["PyTorch, 1 thread"], medians["PyTorch, 2 threads"], strict=True)]
    print(f"LSTM training step, T={T} B={B} I={I} H={H} V={V}; {rounds} rounds of {COUNTED} steps; ms a step")
    print(f"{'':20} {'min':>7} {'median':>7} {'max':>7}   ratio to PyTorch's better: median (quartiles)")
    for name, values in medians.items():
        ratios = np.array(values) / best
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        print(
            f"{name:20} {min(values):7.2f} {median(values):7.2f} {max(values):7.2f}"
            f"   {middle:.2f} ({low:.2f}–{high:.2f})"
        )


if __name__ == "__main__":
    main()
