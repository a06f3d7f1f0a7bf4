"""Records a second, from JSON lines in a pipe to the weights: recurrio beside the loop that one would write instead.

Each line has a key and four numbers. An LSTM of 32 units forecasts the first number of the next record of the same
key: chunks of 8 records of a key, up to 64 of different keys a batch, Huber loss, clipping, one Adam step a batch. The
keys come equally often, or by Zipf's law: then the most frequent one, whose share is printed, bounds the batches, as a
key is in one at most once.

The other sides are what one would write in its place: `json.loads` of each line, a dict of deques, `torch.nn.LSTM` on
batches of the same shape, in one process, with one thread. "windows" is the usual way: a deque of the last records of
each key, whose window is trained on with every record, so that there is a step every 64 records. "chunks" does what
recurrio does: each record is in one chunk, and the state of its key is carried on. They get fewer records, because they
are slow; all are timed from the first record to the last step, not the start of Python. The sides take turns. "scored"
is recurrio as the command runs it: a forecast of every record as it comes, and its score; then with a line of each that
is written, and with bounds for these too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict, deque
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

KINDS = {"1,000 keys": (1_000, 0.0), "100,000 keys": (100_000, 0.0), "100,000 keys, Zipf 1.3": (100_000, 1.3)}
UNIT = 500_000  # records of a file, which is read several times over
T, B, H = 8, 64, 32


def write_lines(path: Path, keys: int, zipf: float) -> float:
    """Write `UNIT` records, and return the share of the most frequent key."""
    rng = np.random.default_rng(0)
    who = (rng.zipf(zipf, UNIT) - 1) % keys if zipf else rng.integers(0, keys, UNIT)
    numbers = rng.standard_normal((UNIT, 4)).round(3).tolist()
    with path.open("w", encoding="ascii") as file:
        for key, (a, b, c, d) in zip(who.tolist(), numbers, strict=True):
            file.write(f'{{"k":"dev-{key:05}","a":{a:g},"b":{b:g},"c":{c:g},"d":{d:g}}}\n')
    return float(np.bincount(who).max() / UNIT)


def ours(*, forecasts: bool = True, predictions: bool = False, interval: float | None = None) -> None:
    """Train on the records of standard input; print records, seconds and batches."""
    import trio

    from recurrio.core import Adam
    from recurrio.pipeline import Trainer, open_records
    from recurrio.pipeline.command.predictions import PredictionWriter

    async def train() -> None:
        options: dict[str, Any] = {"key": "k", "features": "a,b,c,d", "target": "a@+1", "seq_len": T, "batch_size": B}
        options |= {"forecasts": forecasts, "interval": interval}
        async with open_records("-", **options) as records:
            if predictions:
                records.on_forecasts = PredictionWriter(str(Path(folder) / "predictions"), records.encoder)
            trainer = Trainer(records.model(hidden_size=H, seed=0), Adam(0.003), clip=1.0)
            start = perf_counter()
            steps = await trainer.run(records)
            print(records.report()["records"], perf_counter() - start, steps)

    with tempfile.TemporaryDirectory(prefix="recurrio-") as folder:
        trio.run(train)


def theirs(*, windows: bool) -> None:
    """The same with json and torch."""
    import json

    import torch

    torch.set_num_threads(1)
    lstm, head = torch.nn.LSTM(4, H), torch.nn.Linear(H, 1)
    parameters = [*lstm.parameters(), *head.parameters()]
    optimizer, loss_of = torch.optim.Adam(parameters, 0.003), torch.nn.HuberLoss()
    zeros = torch.zeros(H), torch.zeros(H)
    states = defaultdict(lambda: zeros)
    rows: dict[str, deque[list[float]]] = defaultdict(lambda: deque(maxlen=T + 1))
    ready: list[tuple[str, list[list[float]]]] = []
    waiting: set[str] = set()
    count = steps = 0
    start = perf_counter()

    def train() -> None:
        whole = torch.tensor([chunk for _, chunk in ready]).transpose(0, 1)
        state = None
        if not windows:
            before = [states[key] for key, _ in ready]
            state = tuple(torch.stack(part)[None] for part in zip(*before, strict=True))
        optimizer.zero_grad()
        outputs, (h, c) = lstm(whole[:-1], state)
        loss_of(head(outputs), whole[1:, :, :1]).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if not windows:
            for (key, _), after in zip(ready, zip(h[0].detach(), c[0].detach(), strict=True), strict=True):
                states[key] = after
        ready.clear()
        waiting.clear()

    for line in sys.stdin:
        record = json.loads(line)
        key = record["k"]
        count += 1
        own = rows[key]
        own.append([record["a"], record["b"], record["c"], record["d"]])
        if len(own) <= T:
            continue
        if not windows and key in waiting:  # its state is not known yet
            train()
            steps += 1
        ready.append((key, list(own)))
        waiting.add(key)
        if not windows:
            own.clear()
            own.append(ready[-1][1][-1])
        if len(ready) == B:
            train()
            steps += 1
    print(count, perf_counter() - start, steps)


def run(side: str, path: Path, records: int) -> tuple[float, float]:
    """Records a second, and records of a batch, of one of the sides."""
    feed = f'for i in $(seq {-(-records // UNIT)}); do cat "{path}"; done | head -n {records}'
    command = f'({feed}) | "{sys.executable}" "{__file__}" --side {side}'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    count, seconds, steps = map(float, done.stdout.split())
    return count / seconds, count / steps


def main() -> None:
    """Print a line for each kind of keys."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=3_000_000)
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        SIDES[arguments.side][1]()
        return
    print(
        f"records a second, medians of {arguments.rounds} rounds of {arguments.records:,} records (lowest to highest)"
    )
    with tempfile.TemporaryDirectory(prefix="recurrio-") as folder:
        for name, (keys, zipf) in KINDS.items():
            path = Path(folder) / "records.jsonl"
            share = write_lines(path, keys, zipf)
            speeds: dict[str, list[float]] = defaultdict(list)
            sizes: dict[str, float] = {}
            for _ in range(arguments.rounds):
                for side in SIDES:
                    few = max(arguments.records // 20, 12 * keys)
                    speed, sizes[side] = run(side, path, arguments.records if side in OURS else few)
                    speeds[side].append(speed)
            print(f"\n{name}: the most frequent has {share:.1%} of the records")
            for side, (label, _) in SIDES.items():
                spread = f"({min(speeds[side]):>9,.0f} to {max(speeds[side]):>9,.0f})"
                line = f"  {label:23} {median(speeds[side]):>9,.0f} {spread}, {sizes[side]:4.0f} a batch"
                if side not in OURS:
                    times = [ours / other for ours, other in zip(speeds["ours"], speeds[side], strict=True)]
                    line += f"; recurrio {median(times):.1f} times ({min(times):.1f} to {max(times):.1f})"
                print(line, flush=True)


SIDES = {
    "ours": ("recurrio", lambda: ours(forecasts=False)),
    "scored": ("recurrio, scored", ours),
    "written": ("and --predictions", lambda: ours(predictions=True)),
    "bounded": ("and --interval 0.9", lambda: ours(predictions=True, interval=0.9)),
    "windows": ("json and torch, windows", lambda: theirs(windows=True)),
    "chunks": ("json and torch, chunks", lambda: theirs(windows=False)),
}
OURS = ("ours", "scored", "written", "bounded")


if __name__ == "__main__":
    main()
