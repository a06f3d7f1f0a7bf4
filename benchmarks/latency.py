"""How long it takes from a record on a socket to the weights that it has changed, as the command's reports say it.

A producer sends the records of some keys over TCP, one by one, so many a second, and evenly, to ``recurrio train
tcp-listen://…``. Measured is from when a record is read that completes a pair, with one before it of its key, to when
the batch with that pair has changed the weights. `--linger` bounds how long it waits for others.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, sleep

OPTIONS = "--key k --features x --target x@+1 --report-every 1s --json"


def send(host: str, port: int, keys: int, rate: float, seconds: float) -> None:
    """Send `rate` records a second."""
    rng = random.Random(0)
    with socket.create_connection((host, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = perf_counter()
        for number in range(int(rate * seconds)):
            sleep(max(0.0, start + number / rate - perf_counter()))
            line = f'{{"k":"key {number % keys}","x":{rng.gauss(0, 1):.3f}}}\n'
            sock.sendall(line.encode())


def measure(options: list[str], keys: int, rate: float, seconds: float) -> dict[str, float]:
    """The latency of a run that had so many records."""
    with tempfile.TemporaryDirectory(prefix="recurrio-") as folder:
        program = str(Path(sys.executable).parent / "recurrio")
        command = [program, "train", "tcp-listen://127.0.0.1:0", *OPTIONS.split(), *options]
        command += ["--out", str(Path(folder) / "out")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            found = None
            while found is None:
                line = process.stderr.readline()
                assert line, "it has ended"
                found = re.search(r"listening on \S*127\.0\.0\.1:(\d+)", line)
            try:
                send("127.0.0.1", int(found[1]), keys, rate, seconds)
            finally:
                process.send_signal(signal.SIGINT)
            reports = [json.loads(line) for line in process.communicate()[0].splitlines()]
    assert reports[-1]["records"] >= rate * seconds * 0.9
    latency: dict[str, float] = reports[-1]["timing"]["latency"]
    return latency


def main() -> None:
    """Print a line for each round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1000.0, help="records a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--linger", default="20ms")
    given = parser.parse_args()
    options = ["--linger", given.linger, "--seq-len", "8"]
    print(f"{given.keys} keys, {given.rate:g} records a second, {' '.join(options)}")
    for _ in range(given.rounds):
        latency = measure(options, given.keys, given.rate, given.seconds)
        print(f"  p50 {1000 * latency['p50']:.1f} ms, p99 {1000 * latency['p99']:.1f} ms")


if __name__ == "__main__":
    main()
