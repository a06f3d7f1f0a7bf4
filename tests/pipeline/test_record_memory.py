"""What keys take, by the formula of docs/memory.md, and no more however many come and go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import sys, numpy as np, trio
from recurrio.core import Adam
from recurrio.pipeline import Records, Trainer

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

keys, most, total = map(int, sys.argv[1:])
sizes = []

def frames():
    for start in range(0, total, 1000):
        sizes.append(resident())
        ids = np.arange(start, start + 1000) % keys
        names = np.array([f"key {i:08}" for i in ids.tolist()], object)
        yield {"k": names, "a": np.sin(ids), "b": np.cos(ids), "c": ids * 1.0, "d": ids % 7.0}

records = Records(frames(), key="k", features="a,b,c,d", target="a@+1", max_keys=most)
trio.run(Trainer(records.model(seed=0), Adam(), executor="inline").run, records)
print(*sizes[len(sizes) // 2 :: len(sizes) // 8], sizes[-1])
"""
TEXT = 150 + 12  # bytes: what a dict and two lists need for a key, and its text

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident size from /proc")


def sizes(keys: int, most: int, total: int) -> list[int]:
    words = [sys.executable, "-c", RUN, *map(str, (keys, most, total))]
    done = subprocess.run(words, capture_output=True, check=True, timeout=120, text=True)
    return [int(word) for word in done.stdout.split()]


def bytes_of_a_key(*, S: int, C: int, F: int, T: int, h: int) -> int:
    """The formula: states for training and for forecasts, the open chunk, the past, forecasts, counters, scores."""
    return 2 * 4 * S + 4 * (C + F) * (T + h) + 40 * F * max(1, h) + 24 * F * h + 57 + 24 * F + TEXT


def test_a_key_takes_what_the_formula_says() -> None:
    few, many = 1_000, 50_000
    measured = (sizes(many, many, 11 * many)[-1] - sizes(few, many, 20 * few)[-1]) / (many - few)
    assert measured < 1.1 * bytes_of_a_key(S=64, C=5, F=1, T=8, h=1)


def test_keys_that_come_and_go_take_no_more() -> None:
    first, *_, last = sizes(200_000, 10_000, 200_000)
    assert last < 1.05 * first
