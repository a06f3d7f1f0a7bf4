"""Forward and backward of each layer, side by side with PyTorch in one run.

Both take an input ``(T, B, I)`` and an initial state, and give the gradients of the parameters, of the input and of the
state. PyTorch runs with one thread and with two, recurrio with one worker and with two ranks of one BLAS thread each;
both count with the better one in each round. The contenders take turns, and each round gives one ratio of medians, so
that a machine whose speed drifts still compares.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from time import perf_counter

import numpy as np
import threadpoolctl
import torch
import trio
from layer_group import LayerArrays, LayerMember

from recurrio.core import GRU, LSTM, RNN
from recurrio.pipeline.executors.rank_group import RankGroup
from recurrio.pipeline.executors.shared_memory import SharedMemory

SIZES = [(32, 1, 16, 32), (32, 8, 16, 32), (64, 16, 32, 64), (64, 32, 64, 128), (64, 32, 128, 256), (64, 64, 256, 512)]
CELLS = {"RNN": (RNN, torch.nn.RNN), "LSTM": (LSTM, torch.nn.LSTM), "GRU": (GRU, torch.nn.GRU)}


def torch_pass(cell: str, size: tuple[int, int, int, int], threads: int) -> Callable[[], None]:
    """One forward and backward pass."""
    T, B, I, H = size
    layer = CELLS[cell][1](I, H)
    x = torch.randn(T, B, I, requires_grad=True)
    start = [torch.zeros(1, B, H, requires_grad=True) for _ in range(2 if cell == "LSTM" else 1)]
    d_output = torch.randn(T, B, H)
    leaves = [x, *start, *layer.parameters()]

    def run() -> None:
        torch.set_num_threads(threads)
        output, _ = layer(x, tuple(start) if len(start) == 2 else start[0])
        torch.autograd.grad(output, leaves, d_output)

    return run


def recurrio_pass(cell: str, size: tuple[int, int, int, int]) -> Callable[[], None]:
    """The same here, in a workspace that is used again."""
    T, B, I, H = size
    layer = CELLS[cell][0](I, H)
    rng = np.random.default_rng(0)
    x, d_output = (rng.standard_normal((T, B, units), np.float32) for units in (I, H))
    _, state, tape = layer.forward(x)

    def run() -> None:
        nonlocal tape
        _, _, tape = layer.forward(x, state, tape=tape)
        layer.backward(tape, d_output)

    return run


def group_pass(cell: str, size: tuple[int, int, int, int], stack: ExitStack) -> Callable[[], None]:
    """The same with two ranks, in processes; checked against the layer."""
    T, B, I, H = size
    memory = SharedMemory(1 << 30)  # untouched pages cost nothing
    stack.callback(memory.close)
    arguments = {"cell": cell.lower(), "size": size}
    group = stack.enter_context(RankGroup(LayerMember, arguments, memory, ranks=2))
    trio.run(group.ready)
    arrays, layer = LayerArrays(cell.lower(), size, 2, group.arena), CELLS[cell][0](I, H)
    rng = np.random.default_rng(0)

    def run() -> None:
        group.submit("run")
        group.result()

    arrays.parameters[...] = layer.parameters
    arrays.x[...], arrays.d_output[...] = (rng.standard_normal((T, B, units)) for units in (I, H))
    run()
    output, _, tape = layer.forward(arrays.x)
    d_x, _, gradients = layer.backward(tape, arrays.d_output)
    checked = ((arrays.output, output), (arrays.d_x, d_x), (arrays.gradients[0], layer.flatten(gradients)))
    for ours, expected in checked:
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * np.abs(expected).max())

    return run


def seconds(run: Callable[[], None], duration: float) -> float:
    """The median of as many runs as fit in `duration`, at least three."""
    run()
    times: list[float] = []
    end = perf_counter() + duration
    while len(times) < 3 or perf_counter() < end:
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return median(times)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="Forward and backward of each layer beside PyTorch.")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="(%(default)s)")
    parser.add_argument("--cell", choices=CELLS, action="append", help="only this one (all)")
    parser.add_argument("--size", type=int, choices=range(len(SIZES)), action="append", help="only this row (all)")
    options = parser.parse_args()
    threadpoolctl.threadpool_limits(1, user_api="blas")
    print(f"forward and backward, float32, ms; {options.rounds} rounds; ratio: median (quartiles) of ours to PyTorch's")
    print(
        f"{'':5} {'T':>3} {'B':>3} {'I':>4} {'H':>4} {'torch 1':>8} {'torch 2':>8} {'ours 1':>8} {'ours 2':>8}  ratio"
    )
    for cell in options.cell or CELLS:
        for index in options.size or range(len(SIZES)):
            size = SIZES[index]
            with ExitStack() as stack:
                runs = [torch_pass(cell, size, 1), torch_pass(cell, size, 2)]
                runs += [recurrio_pass(cell, size), group_pass(cell, size, stack)]
                rounds = np.array([[1e3 * seconds(run, 0.1) for run in runs] for _ in range(options.rounds)])
            ratios = rounds[:, 2:].min(axis=1) / rounds[:, :2].min(axis=1)
            low, middle, high = np.percentile(ratios, (25, 50, 75))
            row = " ".join(f"{value:8.2f}" for value in np.median(rounds, axis=0))
            T, B, I, H = size
            print(f"{cell:5} {T:3} {B:3} {I:4} {H:4} {row}  {middle:.2f} ({low:.2f}–{high:.2f})", flush=True)


if __name__ == "__main__":
    main()
