"""What a delay costs in accuracy: errors of series, and the loss on a text, with delays of 0 to 3, by pairs of runs.

    python benchmarks/delay.py FOLDER --text FILE

The series are some of those of `benchmarks/accuracy.py`, from the files in FOLDER: the error is the one that it prints,
of forecasts that are made by a version as old as the delay says. The text, without a file one of a random Markov chain,
is read once by the network that the command makes: its loss is the mean over the last half of the batches, each
measured before it is learned from. Nothing but the learning rate is set. Each ratio is of two runs with the same seed,
which is that of the initial weights: mean, lowest and highest. "plain" is without what makes up for a delay, see
`recurrio.core.optim.ahead`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from accuracy import SERIES, Series, find, run

from recurrio.core import Adam, training_state
from recurrio.pipeline import Report, fit

NAMES = ("daily-min-temperatures", "airport EWR, °C", "nyc-taxi", "nyc-taxi @+5", "nyc-taxi @+5, replay=31")
DELAYS = (1, 2, 3)
RATES = (0.002, 0.006)
SYMBOLS, LENGTH = 30, 1_000_000


def markov_text(folder: Path) -> Path:
    """Write one in which each letter depends on the two before it."""
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.full(SYMBOLS, 0.1), (SYMBOLS, SYMBOLS)).cumsum(axis=-1)
    before, last, text = 0, 0, bytearray()
    for chance in rng.random(LENGTH):
        before, last = last, min(int(np.searchsorted(chances[before, last], chance)), SYMBOLS - 1)
        text.append(ord("A") + last)
    path = folder / "a Markov chain"
    path.write_bytes(text)
    return path


def error_on(series: Series, path: Path, lr: float, delay: int, seed: int) -> float:
    """The error of the forecasts."""
    return float(run(series, path, optimizer=Adam(lr), delay=delay, seed=seed, executor="inline").errors[0])


def loss_on(text: Path, lr: float, delay: int, seed: int) -> float:
    """The mean loss of the last half of the batches."""
    losses: list[float] = []

    def listen(report: Report) -> None:
        losses.append(report.loss)

    fit(text, optimizer=Adam(lr), delay=delay, seed=seed, executor="inline", on_report=listen, report_every=1)
    return float(np.mean(losses[len(losses) // 2 :]))


def compare(name: str, measure: Callable[[int, int], float], seeds: int) -> None:
    """Print the mean of `measure` (of a delay, of a seed) without a delay, and the ratios with one."""
    before = np.array([measure(0, seed) for seed in range(seeds)])
    line = f"{name:34} {before.mean():#.4g}"
    for delay in DELAYS:
        for plain in (True, False):
            with patch.object(training_state, "Ahead", lambda delay: None) if plain else nullcontext():
                ratios = np.array([measure(delay, seed) for seed in range(seeds)]) / before
            line += f"  {ratios.mean():.3f} ({ratios.min():.3f}–{ratios.max():.3f})"
    print(line, flush=True)


def main() -> None:
    """Print a line for each series and each learning rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    series = {each.name: each for each in SERIES}
    found = [(series[name], find(series[name], arguments.folder)) for name in NAMES]
    print(
        f"{'':26} lr    without  " + "".join(f"{f'delay {delay}, plain':21}{f'delay {delay}':21}" for delay in DELAYS)
    )
    with tempfile.TemporaryDirectory(prefix="recurrio-") as folder:
        text = arguments.text or markov_text(Path(folder))
        for lr in RATES:
            for each, path in found:
                if path is not None:
                    compare(f"{each.name:26} {lr}", partial(error_on, each, path, lr), arguments.seeds)
            compare(f"{text.name:26} {lr}", partial(loss_on, text, lr), arguments.seeds)


if __name__ == "__main__":
    main()
