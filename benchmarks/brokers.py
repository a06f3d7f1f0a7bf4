"""Records a second from a broker into the weights, beside reading them alone, one after the other in each round.

Servers are started here: Redis with each write on its disk, mosquitto, and confluent-kafka's mock of a cluster. Reading
alone takes the messages by the same transport, acknowledges them, and does nothing else. Training writes them to a
journal before they are acknowledged, decodes them, forecasts each, scores that, and learns, with the defaults of the
command, of 1,000 keys. Timed is from the first message on. Each of these is a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

COUNT = {"redis": 500_000, "mqtt": 60_000, "kafka": 250_000}  # as many as the mock keeps
KEYS = 1000
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


def messages(count: int) -> list[bytes]:
    rng = random.Random(0)
    return [
        json.dumps(
            {"k": f"key-{rng.randrange(KEYS)}", "a": round(rng.gauss(0, 1), 3), "b": round(rng.random(), 3)}
        ).encode()
        for _ in range(count)
    ]


def read(address: str, count: int) -> None:
    """Read so many messages; print how many a second."""
    import trio

    from recurrio.pipeline.sources import open_transport

    async def main() -> None:
        found, start = 0, 0.0
        async with open_transport(address) as transport:
            while found < count:
                data = (await transport.receive()).data
                start = start or perf_counter()
                found += data.count(b"\n")
        print(found / (perf_counter() - start))

    trio.run(main)


def learn(address: str, count: int, folder: str) -> None:
    """Train on so many; print how many a second."""
    import trio

    from recurrio.core import Adam
    from recurrio.pipeline import Trainer, open_records
    from recurrio.pipeline.sources.journal import Journals

    async def main() -> None:
        journals, start = Journals(folder), 0.0
        given = {"features": "a,b", "target": "a@+1", "key": "k", "journals": journals}
        async with open_records(address, **given) as records:
            trainer = Trainer(records.model(seed=0), Adam(0.002), clip=1.0)
            gc.freeze()  # as the command does

            async def watch() -> None:
                nonlocal start
                while records.ledger.received < count:
                    start = start or (perf_counter() if records.ledger.received else 0.0)
                    await trio.sleep(0.002)
                trainer.stop(10.0)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                await trainer.run(records)
            print(count / (perf_counter() - start))
        journals.close()

    trio.run(main)


def measured(*words: object) -> float:
    """What this program prints, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *map(str, words)], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def compare(name: str, rounds: int) -> None:
    import trio
    from support.brokers import Mosquitto, running

    count = COUNT[name]
    said, ratios, rates = messages(count), [], []
    with tempfile.TemporaryDirectory() as folder, running(name, Path(folder) / "broker") as broker:

        async def fill(topic: str) -> None:
            await broker.prepare(topic)
            for start in range(0, count, 10_000):
                await broker.fill(topic, said[start : start + 10_000])

        once = not isinstance(broker, Mosquitto)  # the others have what was read for the next to read
        for number in range(rounds):
            both = []
            for side in ("read", "learn"):
                topic = "all" if once else f"{side}-{number}"
                if (not both and not number) or not once:
                    trio.run(fill, topic)
                address = broker.address(topic, "" if once else f"?client={topic}")
                both.append(measured(f"--{side}", address, count, f"{folder}/journal-{number}"))
            ratios.append(both[1] / both[0])
            rates.append(both)
    alone, into = (median(column) for column in zip(*rates, strict=True))
    spread = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    print(f"{name:6} {alone:9,.0f} read  {into:9,.0f} into the weights  {spread}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=COUNT)
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--learn", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(given.read[0], int(given.read[1]))
    elif given.learn:
        learn(given.learn[0], int(given.learn[1]), given.learn[2])
    else:
        for name in COUNT:
            if given.only in (None, name):
                compare(name, given.rounds)


if __name__ == "__main__":
    main()
