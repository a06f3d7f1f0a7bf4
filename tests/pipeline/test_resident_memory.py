"""A run does not grow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MEMORY = """
import sys, numpy as np, trio
from recurrio.core import Adagrad, SequenceBatch, SequenceModel
from recurrio.pipeline import Trainer

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

rng = np.random.default_rng(0)
tokens = rng.integers(0, 30, (3000, 2, 8, 4), np.int32)
sizes = {}
def note(report):
    if report.step in (300, 3000):
        sizes[report.step] = resident()
trio.run(lambda: Trainer(SequenceModel(30, embedding_size=8, hidden_size=16), Adagrad(), executor=sys.argv[1]).run(
    (SequenceBatch(*pair) for pair in tokens), on_report=note))
print(sizes[3000] / sizes[300])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the resident size from /proc")
@pytest.mark.parametrize("executor", ["inline", "thread"])
def test_memory_stays_flat(executor: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, executor], capture_output=True, check=True, timeout=120)
    assert float(done.stdout) < 1.05
