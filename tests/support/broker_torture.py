"""Kills runs of the command that read of a broker, or write to it, and compares what they leave with a whole run.

For a process of its own, ``python -m support.broker_torture JOB``. JOB is JSON: the ``broker`` by name and its
``folder`` and ``port``, the ``words`` of the command, in which ``{run}`` is the name of a run, how many ``times`` to
kill, with a ``seed``; ``lines``, a file of what a run is to read there; and ``out`` where it writes there.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from recurrio.pipeline.sources import Opening
from recurrio.pipeline.sources.address import server_address
from recurrio.pipeline.sources.journal import Journal
from recurrio.pipeline.sources.mqtt import client_name
from recurrio.pipeline.sources.mqtt_client import PORTS
from support.brokers import BROKERS, Broker, Kafka, Mosquitto
from support.torture import compare, left, start, wait

MOST = 60  # runs until one has come to its end


def apart(function: Callable[[], Awaitable[Any]], answer: Path | None = None) -> None:
    """Run `function` in a process of its own: this one is to have no threads."""
    child = os.fork()
    if not child:
        try:
            found = trio.run(function)
            if answer is not None:
                answer.write_bytes(b"\n".join(found))
            os._exit(0)
        finally:
            os._exit(1)
    assert wait(child) == 0


class Runs:
    """The runs of a job."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.folder, self.job = Path(job["folder"]), job
        self.broker: Broker = BROKERS[job["broker"]](self.folder)
        self.broker.port = job["port"]
        self.lines = Path(job["lines"]).read_bytes().splitlines() if "lines" in job else []
        self.is_mqtt = isinstance(self.broker, Mosquitto)
        if self.lines and not self.is_mqtt:
            apart(partial(self._fill, ""))

    async def _fill(self, name: str) -> None:
        if isinstance(self.broker, Mosquitto):  # the client of a run is called after the folder of its journal
            journal = Journal(self.folder / name / "run/journal/0", only=True)
            address = server_address(self.broker.address("in"), "TOPIC", PORTS, ())
            await self.broker.prepare("in", client_name(address, Opening("", journal=journal)))
        how: dict[str, int] = {"partition": 0} if isinstance(self.broker, Kafka) else {}
        await self.broker.fill("in", self.lines, **how)

    def start(self, name: str) -> int:
        """The process of a run."""
        words = [word.replace("{run}", name) for word in self.job["words"]]
        return start(words, self.folder / name)

    def prepare(self, name: str) -> None:
        """What has to be there before a run: the messages of a topic are gone once they have been read."""
        if self.is_mqtt:
            apart(partial(self._fill, name) if self.lines else partial(self.broker.prepare, f"out-{name}"))

    def found(self, name: str) -> dict[str, Any]:
        """What a run has left; of what it wrote to the broker, each record once."""
        found = left(self.folder / name)
        if self.job.get("out"):
            answer = self.folder / f"{name}.out"
            apart(partial(self.broker.read, f"out-{name}"), answer)
            written = answer.read_bytes().splitlines()
            found["sent"] = sorted(set(written), key=lambda line: json.loads(line)["record"])
        return found

    def killed(self, name: str, rng: random.Random, seconds: float) -> list[int]:
        """The exit codes of a run that is killed at random, and started again until it has come to its end."""
        codes: list[int] = []
        for _ in range(rng.choice([1, 1, 2, 3])):
            child = self.start(name)
            time.sleep(rng.random() * seconds)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            codes.append(wait(child))
            if not codes[-1]:
                return codes
        while codes[-1] and len(codes) < MOST:
            codes.append(wait(self.start(name)))
            if codes[-1] > 0:
                break
        return codes


def main() -> None:
    job = json.loads(sys.argv[1])
    runs, rng = Runs(job), random.Random(job["seed"])
    runs.prepare("whole")
    began = time.monotonic()
    if code := wait(runs.start("whole")):
        raise SystemExit(f"{code}: {(runs.folder / 'whole/log').read_text()}")
    seconds = time.monotonic() - began
    expected = runs.found("whole")
    killed, failures, number = 0, list[str](), 0
    while killed < job["times"]:
        number += 1
        name = f"run-{number}"
        runs.prepare(name)
        codes = runs.killed(name, rng, 1.1 * seconds)
        killed += sum(code == -signal.SIGKILL for code in codes)
        if codes[-1]:
            failures.append(f"{name}: {codes}: {(runs.folder / name / 'log').read_text()[-600:]}")
            break
        if wrong := compare(runs.found(name), expected, live=bool(runs.lines)):
            failures.append(f"{name} ({codes}): {', '.join(wrong[:8])}")
            break
    about = {"killed": killed, "runs": number, "failures": failures, "seconds": round(seconds, 2)}
    print(json.dumps(about | {"records": len(expected.get("sent", ())) or len(runs.lines)}))


if __name__ == "__main__":
    main()
