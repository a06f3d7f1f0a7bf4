"""What other programs say of the answers: Prometheus' own check of its metrics, and a fuzzer of OpenAPI documents."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("h11", reason="needs recurrio[serve]")
pytest.importorskip("prometheus_client", reason="needs recurrio[serve]")

EXAMPLES = os.environ.get("RECURRIO_FUZZED_REQUESTS", "20")


@pytest.fixture
def url() -> Iterator[str]:
    where = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", "support.served"], cwd=where, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        found = run.stdout.readline().strip()
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{found}/readyz", timeout=5):
                    break
            except OSError:
                pass
        yield found
        run.terminate()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not there: apt-get install prometheus")
def test_promtool_accepts_the_metrics(url: str) -> None:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read()
    assert text.count(b"# TYPE") > 12
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    broken = subprocess.run(
        ["promtool", "check", "metrics"], input=text + b"recurrio_steps_total x", capture_output=True
    )
    assert broken.returncode


def test_schemathesis_finds_nothing(url: str) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not there: pip install schemathesis")
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--max-examples", EXAMPLES]
    # What is a number is more than a pattern can say, so that others are taken too.
    words += ["--exclude-path", "/events", "--exclude-checks", "negative_data_rejection"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
