"""What checkpoints cost: records a second with them and without, side by side, and how long they hold up a stage.

The records are those of benchmarks/records.py. The sides take turns, and each ratio is that of two runs one behind the
other. "defaults" is the command as it is, a checkpoint a minute and one at the end, of a file and of a pipe, which is
journaled too. Then one every 100 batches, at 128 and 256 units. A report is late by as many times the
median time between two, where there is one a batch, as it came later than that. "stops" is how long it takes to gather
a state of 100,000 keys: in the stage that loads, and in the one that updates. "restart" is how long it takes to read
that state.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

from records import write_lines

WORDS = ["--key", "k", "--features", "a,b,c,d", "--target", "a@+1", "--json", "--quiet", "--report-every", "100000"]
COMMAND = [sys.executable, "-c", "from recurrio.pipeline.command.cli import main; main()", "train"]


def train(path: Path, times: int, *words: str, pipe: bool = False) -> float:
    """Records a second of the command on the file at `path`, or on a pipe that has it so many times."""
    with tempfile.TemporaryDirectory() as folder:
        source = "-" if pipe else str(path)
        command = [*COMMAND, source, "--format", "jsonl", *WORDS, "--out", f"{folder}/run", *words]
        given = subprocess.Popen(["cat", *[str(path)] * times], stdout=subprocess.PIPE) if pipe else None
        done = subprocess.run(
            command, stdin=given.stdout if given else None, capture_output=True, text=True, check=True
        )
        report = json.loads(done.stdout.splitlines()[-1])
        return float(report["records"] / report["timing"]["seconds"])


def compare(name: str, rounds: int, path: Path, times: int, words: list[str], *, pipe: bool = False) -> None:
    """Print the ratio of what there is with checkpoints to what there is without."""
    ratios, speeds = [], []
    for number in range(rounds):
        sides = [("with", words), ("without", ["--checkpoint-every", "none"])]
        both = {
            side: train(path, times, *shared(words), *more, pipe=pipe) for side, more in sides[:: 1 - 2 * (number % 2)]
        }
        ratios.append(both["with"] / both["without"])
        speeds.append(both["with"])
    low, high = min(ratios), max(ratios)
    print(f"{name:32} {median(speeds):>12,.0f} records/s  {median(ratios):.3f} ({low:.3f} to {high:.3f})", flush=True)


def shared(words: list[str]) -> list[str]:
    """The words that both sides have."""
    return words[words.index("--hidden") :][:2] if "--hidden" in words else []


def stops(path: Path) -> None:
    """Print how long gathering a state of 100,000 keys takes, and how long it takes to begin again from it."""
    import trio

    from recurrio.core import Adam
    from recurrio.core.training_state import TrainingState
    from recurrio.pipeline import Trainer, open_records
    from recurrio.pipeline.checkpoint import Checkpoints
    from recurrio.pipeline.lanes.records import Records

    took: dict[str, list[float]] = {"load": [], "update": []}

    def timed(owner: type, name: str, stage: str) -> None:
        real = getattr(owner, name)

        def measured(*arguments: object) -> object:
            start = perf_counter()
            try:
                return real(*arguments)
            finally:
                took[stage].append(1000 * (perf_counter() - start))

        setattr(owner, name, measured)

    timed(Records, "dump", "load")
    timed(TrainingState, "snapshot", "update")

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_records(path, format="jsonl", key="k", features="a,b,c,d", target="a@+1") as records:
                trainer = Trainer(records.model(hidden_size=32, seed=0), Adam(0.003), clip=1.0)
                await trainer.run(records, checkpoints=Checkpoints(folder, every=1.0))
            for stage, times in took.items():
                print(f"stops of {stage:6} at 100,000 keys: {median(times):.1f} ms, at most {max(times):.1f} ms")
            start = perf_counter()
            async with open_records(path, format="jsonl", key="k", features="a,b,c,d", target="a@+1") as records:
                trainer = Trainer(records.model(hidden_size=32, seed=0), Adam(0.003), clip=1.0)
                trainer.resume(Checkpoints(folder), records)
                print(f"restart at 100,000 keys: {perf_counter() - start:.2f} s to read the state")

    trio.run(run)


def lateness(path: Path, hidden: int, rounds: int) -> None:
    """Print by how many step times the latest report of a run is late, with a checkpoint every 100 batches and without.

    The first 250 batches do not count: another process takes over from the decoder meanwhile, with checkpoints or not.
    """
    import trio

    from recurrio.core import Adam
    from recurrio.pipeline import Trainer, open_records
    from recurrio.pipeline.checkpoint import Checkpoints

    async def run(checkpoints: Checkpoints | None) -> float:
        times: list[float] = []
        async with open_records(path, format="jsonl", key="k", features="a,b,c,d", target="a@+1") as records:
            trainer = Trainer(records.model(hidden_size=hidden, seed=0), Adam(0.003), clip=1.0)
            hear = {"on_report": lambda _: times.append(perf_counter()), "report_every": 1}
            await trainer.run(records, checkpoints=checkpoints, **hear)
        gaps = [after - before for before, after in pairwise(times[250:-1])]
        return max(gaps) / median(gaps) - 1

    late: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(rounds):
        for side in [*late][:: 1 - 2 * (number % 2)]:
            with tempfile.TemporaryDirectory() as folder:
                late[side].append(trio.run(run, Checkpoints(folder, every=100) if side == "with" else None))
    for side, found in late.items():
        spread = f"{median(found):.2f} step times ({min(found):.2f} to {max(found):.2f})"
        print(f"{hidden} units, {side:7} checkpoints: the latest report is late by {spread}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "1,000 keys", Path(folder) / "100,000 keys"
        write_lines(few, 1_000, 0.0)
        write_lines(many, 100_000, 0.0)
        many.write_bytes(many.read_bytes() * 8)
        six = Path(folder) / "six"
        six.write_bytes(few.read_bytes() * 6)
        compare("defaults, a file", rounds, six, 1, [])
        compare("defaults, a pipe", rounds, few, 6, [], pipe=True)
        for hidden in ("128", "256"):
            words = ["--checkpoint-every", "100", "--hidden", hidden]
            compare(f"every 100 batches, {hidden} units", rounds, few, 1, words)
            lateness(few, int(hidden), rounds)
        stops(many)


if __name__ == "__main__":
    main()
