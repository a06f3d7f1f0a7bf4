"""Records a second from sockets, as shares of what they are from a pipe, in the same rounds.

The records and the model are those of `records.py`, with 1,000 keys. A producer, or 64 of them at once, sends them to a
TCP or a Unix socket on this machine. Timed is from the first record to the last, and the batches behind it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from statistics import median
from time import perf_counter

from records import UNIT, B, H, T, write_lines

SIDES = {"pipe": 0, "tcp": 1, "unix": 1, "tcp, 64 producers": 64}


def learn(side: str, path: Path, times: int) -> None:
    """Train on the records at `path`, so many `times`, from the side; print records a second."""
    import trio

    from recurrio.core import Adam
    from recurrio.pipeline import Trainer, open_records

    total, start = UNIT * times, 0.0
    kind = side.partition(",")[0]

    async def train() -> None:
        nonlocal start
        options = {"key": "k", "features": "a,b,c,d", "target": "a@+1", "seq_len": T, "batch_size": B}
        said: list[str] = []
        address = {"pipe": "-", "tcp": "tcp-listen://127.0.0.1:0", "unix": f"unix:{path}.socket"}[kind]
        async with open_records(address, forecasts=False, on_notice=said.append, **options) as records:
            feeder = None
            if said:
                feeder = start_feeder(said[0].split(" ", 2)[2], path, times, SIDES[side])
            trainer = Trainer(records.model(hidden_size=H, seed=0), Adam(0.003), clip=1.0)

            async def watch() -> None:
                nonlocal start
                while not records.ledger.received:  # noqa: ASYNC110 (it tells nobody)
                    await trio.sleep(0.001)
                start = perf_counter()
                while records.ledger.received < total:  # noqa: ASYNC110 (as above)
                    await trio.sleep(0.005)
                trainer.stop()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                await trainer.run(records)
                nursery.cancel_scope.cancel()
            print(total / (perf_counter() - start))
            if feeder is not None:
                await trio.to_thread.run_sync(feeder.wait)

    trio.run(train)


def start_feeder(address: str, path: Path, times: int, producers: int) -> subprocess.Popen[bytes]:
    """`feed` in a process of its own."""
    return subprocess.Popen([sys.executable, __file__, "--feed", address, str(path), str(times), str(producers)])


def feed(address: str, path: Path, times: int, producers: int) -> None:
    """Send the lines at `path` to `address`, each producer its share of them, so many `times`."""
    import socket

    lines = path.read_bytes().splitlines(keepends=True)
    sockets = []
    for index in range(producers):
        if address.startswith("unix:"):
            one = socket.socket(socket.AF_UNIX)
            one.connect(address.removeprefix("unix:"))
        else:
            host, port = address.removeprefix("tcp-listen://").split(":")
            one = socket.create_connection((host, int(port)))
        sockets.append((one, b"".join(lines[index::producers])))

    def send(one: socket.socket, data: bytes) -> None:
        with one:
            for _ in range(times):
                one.sendall(data)

    for each in sockets:
        threading.Thread(target=send, args=each).start()


def main() -> None:
    """Print a line for each side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=6, help=f"how often {UNIT:,} records are sent")
    parser.add_argument("--feed", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--learn", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.feed is not None:
        address, path, times, producers = given.feed
        feed(address, Path(path), int(times), int(producers))
        return
    if given.learn is not None:
        side, path, times = given.learn
        learn(side, Path(path), int(times))
        return
    print(f"records a second, medians of {given.rounds} rounds of {UNIT * given.times:,} records (lowest to highest)")
    speeds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="recurrio-") as folder:
        path = Path(folder) / "r"
        write_lines(path, 1000, 0.0)
        for _ in range(given.rounds):
            for side in SIDES:
                pipe = f'for i in $(seq {given.times}); do cat "{path}"; done | ' if side == "pipe" else ""
                command = f'{pipe}"{sys.executable}" "{__file__}" --learn "{side}" "{path}" {given.times}'
                done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
                speeds[side].append(float(done.stdout))
    for side, found in speeds.items():
        shares = [each / pipe for each, pipe in zip(found, speeds["pipe"], strict=True)]
        spread = f"({min(found):>9,.0f} to {max(found):>9,.0f})"
        share = f"{median(shares):.2f} of the pipe ({min(shares):.2f} to {max(shares):.2f})"
        print(f"  {side:18} {median(found):>9,.0f} {spread}  {share}")


if __name__ == "__main__":
    main()
