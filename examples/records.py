"""Files of records to try the commands of the README on: what many devices say, out of step and sometimes broken.

Run it with ``python examples/records.py``, or with a folder behind it; it takes about a second, and writes into this
folder, or that one. The same files come out every time.

- ``sensors.csv``: twenty devices, each with a clock and a wave of its own, under noise. Some rows are broken.
- ``log.jsonl``: the load of one machine, with a rhythm of 24 records.
- ``trades.jsonl``: trades at the bid or the ask. The last price is off by half the spread; the side says in which
  direction.
- ``hosts.tsv``: what hosts do, by their use of processor and memory; ``new.tsv`` goes on with the same hosts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np


def sensors(rng: np.random.Generator, devices: int = 20, records: int = 20_000) -> Iterator[str]:
    """Lines of CSV; every device comes in its own time, some ten times as often as others."""
    yield "device,temperature,humidity"
    pace = np.geomspace(1, 10, devices)
    phase, level = rng.uniform(0, 2 * np.pi, devices), rng.uniform(18, 24, devices)
    for number, device in enumerate(rng.choice(devices, records, p=pace / pace.sum())):
        phase[device] += 0.2
        wave = np.sin(phase[device])
        temperature = f"{level[device] + 3 * wave + rng.normal(0, 0.6):.2f}"
        humidity = f"{50 - 10 * wave + rng.normal(0, 2):.1f}"
        if number % 61 == 17:
            humidity = ""  # missing
        if number % 2000 == 1000:
            temperature = "ERR"  # no number: the row is rejected
        cells = [f"device-{device:02}", temperature, humidity]
        yield ",".join(cells[:2] if number % 3000 == 1500 else cells)  # a row that is cut short is rejected too


def log(rng: np.random.Generator, records: int = 8_000) -> Iterator[str]:
    """Lines of JSON with the load of one machine."""
    for number in range(records):
        load = 2 + np.sin(2 * np.pi * number / 24) + rng.normal(0, 0.2)
        yield json.dumps({"load": round(float(load), 3), "host": "web-1"})


def trades(rng: np.random.Generator, records: int = 8_000) -> Iterator[str]:
    """Lines of JSON: the middle wanders, and each trade is a tick above it or below."""
    middle, moment = 100.0, datetime(2026, 1, 5, 9, 30, tzinfo=UTC).timestamp()
    for _ in range(records):
        middle += rng.normal(0, 0.01)
        moment += rng.exponential(2.0)
        side = "buy" if rng.random() < 0.5 else "sell"
        price = middle + (0.05 if side == "buy" else -0.05)
        ts = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
        yield json.dumps({"ts": ts, "price": round(price, 3), "side": side})


def hosts(rng: np.random.Generator, count: int = 12, records: int = 41_000) -> Iterator[str]:
    """Rows of TSV: a host is swapping while its memory is full, else busy or idle by its processor."""
    cpu, mem = rng.uniform(0.2, 0.8, count), rng.uniform(0.3, 0.9, count)
    for host in rng.integers(count, size=records):
        cpu[host] += 0.6 * (0.5 - cpu[host]) + rng.normal(0, 0.25)
        mem[host] += 0.2 * (0.6 - mem[host]) + rng.normal(0, 0.1)
        state = "swapping" if mem[host] > 0.75 else "busy" if cpu[host] > 0.5 else "idle"
        yield f"host-{host:02}\t{cpu[host]:.3f}\t{mem[host]:.3f}\t{state}"


def write(path: Path, lines: list[str]) -> None:
    """Write `lines` to the file at `path`, and say so."""
    path.write_text("".join([line + "\n" for line in lines]), encoding="utf-8")
    print(f"{path.name}: {len(lines):,} lines")


def main(folder: Path) -> None:
    """Write the five files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "sensors.csv", [*sensors(np.random.default_rng(1))])
    write(folder / "log.jsonl", [*log(np.random.default_rng(2))])
    write(folder / "trades.jsonl", [*trades(np.random.default_rng(3))])
    header, rows = "host\tcpu\tmem\tstate", [*hosts(np.random.default_rng(4))]
    write(folder / "hosts.tsv", [header, *rows[:40_000]])
    write(folder / "new.tsv", [header, *rows[40_000:]])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
