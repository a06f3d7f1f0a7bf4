"""How late another task of the same trio program wakes up while a model is trained.

The task sleeps 10 ms at a time; lateness is how much longer it slept. LSTM of 256 units, T=64, B=32, I=128.
"""

from __future__ import annotations

import argparse

import numpy as np
import trio

from recurrio.core import Adam, CrossEntropyLoss, SequenceBatch, SequenceModel
from recurrio.pipeline import Trainer

T, B, I, H, V = 64, 32, 128, 256, 64
PAUSE = 0.01  # seconds


async def measure(executor: str, delay: int, seconds: float) -> tuple[np.ndarray, str, int]:
    """The lateness in milliseconds, where the passes were computed, and the number of steps."""
    rng = np.random.default_rng(0)
    batch = SequenceBatch(rng.standard_normal((T, B, I), np.float32), rng.integers(0, V, (T, B), np.int32))
    model = SequenceModel(input_size=I, hidden_size=H, output_size=V, loss=CrossEntropyLoss(), seed=0)
    trainer = Trainer(model, Adam(1e-3), clip=1.0, executor=executor, delay=delay)
    lateness, executors = list[float](), list[str]()

    async def sleeper() -> None:
        while True:
            start = trio.current_time()
            await trio.sleep(PAUSE)
            lateness.append(1e3 * (trio.current_time() - start - PAUSE))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper)
        with trio.move_on_after(seconds):
            await trainer.run((batch for _ in iter(int, 1)), on_report=lambda report: executors.append(report.executor))
        nursery.cancel_scope.cancel()
    return np.array(lateness), executors[-1], trainer.step


def main() -> None:
    """Print a row for each executor and delay."""
    parser = argparse.ArgumentParser(description="Lateness of another task while a model is trained.")
    parser.add_argument("--seconds", type=float, default=10, metavar="S", help="for each row (%(default)s)")
    seconds = parser.parse_args().seconds
    print(f"a task that sleeps 10 ms, while an LSTM of {H} units is trained; lateness in ms")
    for executor in ("auto", "process", "thread"):
        for delay in (0, 1):
            late, where, steps = trio.run(measure, executor, delay, seconds)
            half, most, worst = np.percentile(late, (50, 99, 100))
            row = f"p50 {half:6.2f}  p99 {most:6.2f}  max {worst:6.2f}  ({where}, {steps} steps)"
            print(f"  {executor:8} delay {delay}: {row}")


if __name__ == "__main__":
    main()
