"""A run of weeks does not grow: a source that breaks off every hour, and keys that come and go, in virtual time."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WEEKS = Path(__file__).parent.parent / "support" / "weeks.py"
DAYS = int(os.environ.get("RECURRIO_DAYS", "3"))  # thirty take some minutes
MOST = 2 << 20  # bytes


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="asks glibc what is in use")
@pytest.mark.parametrize("labels", ["ahead", "later"])
def test_memory_stays_as_it_is_after_a_day(labels: str) -> None:
    env = {**os.environ, "PYTHONMALLOC": "malloc"}  # or glibc sees Python's arenas alone
    done = subprocess.run(
        [sys.executable, WEEKS, str(DAYS), labels], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    days = [json.loads(line) for line in done.stdout.splitlines()]
    assert [day["day"] for day in days] == [*range(1, DAYS + 1)]
    # The keys come round in 33 hours: on the first day not all are known yet, nor all shapes that a batch can have.
    begun = {name: max(day[name] for day in days[:2]) for name in ("in_use", "resident")}
    for day in days:
        assert day["in_use"] <= begun["in_use"] + MOST
        assert day["resident"] <= begun["resident"] + MOST
        assert 24 * day["day"] - 1 <= day["reconnects"] <= 24 * day["day"]
        assert day["records"] >= 70_000 * day["day"]
        assert 10_000 < day["keys"] < 20_000
    assert days[-1]["expired"] > 30_000 * DAYS
