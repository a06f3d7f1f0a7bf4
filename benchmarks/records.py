"""Records a second, from JSON lines in a pipe to the weights: recurrio beside the loop that one would write instead.

Each line has a key and four numbers. An LSTM of 32 units forecasts the first number of the next record of the same
key: chunks of 8 records of a key, up to 64 of different keys a batch, Huber loss, clipping, one Adam step a batch. The
keys come equally often, or by Zipf's law: then the most frequent one, whose share is printed, bounds the batches, as a
key is in one at most once.

The other side is what stands in its place in many programs: `json.loads` of each line, a dict of lists, `torch.nn.LSTM`
on a batch of the same shape, in one process, with one thread, which is fastest there. It gets fewer records, because it
is slow; both are timed from the first record to the last step, not the start of Python. The sides take turns. "scored"
is recurrio as the command runs it: a forecast of every record as it comes, and its score.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from time import perf_counter

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


def ours(*, forecasts: bool) -> None:
    """Train on the records of standard input; print records, seconds and batches."""
    import trio

    from recurrio.core import Adam
    from recurrio.pipeline import Trainer, open_records

    async def train() -> None:
        options = {"key": "k", "features": "a,b,c,d", "target": "a@+1", "seq_len": T, "batch_size": B}
        async with open_records("-", forecasts=forecasts, **options) as records:
            trainer = Trainer(records.model(hidden_size=H, seed=0), Adam(0.003), clip=1.0)
            start = perf_counter()
            steps = await trainer.run(records)
            print(records.report()["records"], perf_counter() - start, steps)

    trio.run(train)


def theirs() -> None:
    """The same with json and torch."""
    import json

    import torch

    torch.set_num_threads(1)
    lstm, head = torch.nn.LSTM(4, H), torch.nn.Linear(H, 1)
    parameters = [*lstm.parameters(), *head.parameters()]
    optimizer, loss_of = torch.optim.Adam(parameters, 0.003), torch.nn.HuberLoss()
    zeros = torch.zeros(H), torch.zeros(H)
    states = defaultdict(lambda: zeros)
    rows: dict[str, list[list[float]]] = defaultdict(list)
    ready: dict[str, list[list[float]]] = {}
    count = steps = 0
    start = perf_counter()

    def train() -> None:
        inputs = torch.tensor([chunk[:-1] for chunk in ready.values()]).transpose(0, 1)
        targets = torch.tensor([[row[0] for row in chunk[1:]] for chunk in ready.values()]).T[:, :, None]
        before = [states[key] for key in ready]
        state = tuple(torch.stack(part)[None] for part in zip(*before, strict=True))
        optimizer.zero_grad()
        outputs, (h, c) = lstm(inputs, state)
        loss_of(head(outputs), targets).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        for key, after in zip(ready, zip(h[0].detach(), c[0].detach(), strict=True), strict=True):
            states[key] = after
        ready.clear()

    for line in sys.stdin:
        record = json.loads(line)
        count += 1
        chunk = rows[record["k"]]
        chunk.append([record["a"], record["b"], record["c"], record["d"]])
        if len(chunk) == T + 1:
            if record["k"] in ready:
                train()
                steps += 1
            ready[record["k"]] = chunk
            rows[record["k"]] = [chunk[-1]]
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
    parser.add_argument("--side", choices=["ours", "scored", "theirs"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        {"ours": lambda: ours(forecasts=False), "scored": lambda: ours(forecasts=True), "theirs": theirs}[
            arguments.side
        ]()
        return
    print(
        f"records a second, medians of {arguments.rounds} rounds of {arguments.records:,} records (lowest to highest)"
    )
    with tempfile.TemporaryDirectory(prefix="recurrio-") as folder:
        for name, (keys, zipf) in KINDS.items():
            path = Path(folder) / "records.jsonl"
            share = write_lines(path, keys, zipf)
            speeds: dict[str, list[float]] = defaultdict(list)
            ratios, sizes = [], {}
            for _ in range(arguments.rounds):
                for side in ("ours", "scored", "theirs"):
                    few = max(arguments.records // 10, 12 * keys) if side == "theirs" else arguments.records
                    speed, sizes[side] = run(side, path, few)
                    speeds[side].append(speed)
                ratios.append(speeds["ours"][-1] / speeds["theirs"][-1])
            print(f"\n{name}: the most frequent has {share:.1%} of the records")
            for side, label in (("ours", "recurrio"), ("scored", "recurrio, scored"), ("theirs", "json and torch")):
                low, high = min(speeds[side]), max(speeds[side])
                spread = f"({low:>9,.0f} to {high:>9,.0f})"
                print(f"  {label:18} {median(speeds[side]):>9,.0f} {spread}, {sizes[side]:5.0f} records a batch")
            print(f"  {'times as fast':18} {median(ratios):>9.1f} ({min(ratios):.1f} to {max(ratios):.1f})", flush=True)


if __name__ == "__main__":
    main()
