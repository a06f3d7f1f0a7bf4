"""Records as live systems send them, from bytes through a trainer: what is learned from, and what is rejected."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from support.live_records import inputs_of, open_records, run

from recurrio.core import Adam
from recurrio.pipeline import Trainer

# Values and keys

SMALL: dict[str, tuple[str, tuple[int, ...], list[str]]] = {
    "true is not one": (
        '{"k":"a","x":1}\n{"k":"a","x":true}\n{"k":"a","x":0}\n',
        (1, 1, 1, 1),
        ["x: expected a number, got true (x:category takes it as a category)"],
    ),
    "an array": ('[{"k":"a","x":1},{"k":"a","x":2}]\n{"k":"a","x":3}\n', (0, 1, 1, 1), ["an array, where one object"]),
    "blank lines": ('{"k":"a","x":1}\n' + "\n\r\n \n" * 20 + '{"k":"a","x":2}\n', (1, 1, 0, 1), []),
    "half a character": ('{"k":"\\ud800","x":1}\n{"k":"a","x":2}\n', (0, 1, 1, 1), ["half a character"]),
    "long integers": (
        '{"k":9007199254740993,"x":1}\n{"k":9007199254740992,"x":2}\n{"k":18446744073709551617,"x":3}\n',
        (0, 3, 0, 3),
        [],
    ),
    "no keys": (
        '{"k":0,"x":1}\n{"k":"","x":2}\n{"k":null,"x":3}\n{"x":4}\n{"k":0,"x":5}\n',
        (1, 1, 3, 1),
        ["key k is missing"] * 3,
    ),
    "the last of several": ('{"k":"a","x":"no","x":1}\n{"x":9,"k":"b","k":"a","x":2}\n', (1, 1, 0, 1), []),
    "junk that nobody asked for": (
        '{"k":"a","x":1,"z":[{"deep":[1,2]},"\\u0000",1e999]}\n{"k":"a","x":2,"":{},"y":"\\n"}\n',
        (1, 1, 0, 1),
        [],
    ),
    "an object that does not end": (
        '{"k":"a","x":1}\n{"k":"a",\n{"k":"a","x":2}',
        (1, 1, 1, 1),
        ["the object does not end on its line"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SMALL)
async def test_a_few_lines(what: str) -> None:
    data, counts, reasons = SMALL[what]
    done = await run(data)
    assert done.counts == counts
    assert [mine[: len(other)] for mine, other in zip(done.reasons, reasons, strict=True)] == reasons


async def test_all_digits_of_a_key_are_kept() -> None:
    keys = [2**53, 2**53 + 1, 2**64, 2**64 + 1, 10**30]
    done = await run([{"k": key, "x": 1} for key in keys])
    assert [line[2] for line in done.predictions] == [str(key) for key in keys]


async def test_numbers_that_are_none_are_named() -> None:
    lines = [{"k": "a", "x": float("nan") if n % 5 < 2 else n} for n in range(1000)]
    done = await run(lines)
    assert done.counts == (599, 1, 400, 1)
    assert set(done.reasons) == {"x: expected a number, got NaN, which is no JSON (null is missing)"}


async def test_keys_may_be_any_text() -> None:
    keys = ["../../etc/x", "/a/b", "a\nb", "a\0b", "con", "k" * 4096]
    done = await run([{"k": key, "x": n} for n in range(30) for key in keys])
    assert done.counts == (29 * 6, 6, 0, 6)
    assert {line[2] for line in done.predictions} == {*keys}
    assert {each["key"] for each in done.report["worst"]} <= {*keys}
    assert len((await run([{"k": "k" * 4097, "x": 1}, {"k": "a", "x": 1}])).reasons) == 1


async def test_a_new_key_with_every_record() -> None:
    data = "".join(f'{{"k":"10.0.0.1:{n}","x":{n % 7}}}\n' for n in range(20_000))
    done = await run(data, max_keys=1000)
    assert done.report["unlabelled"] == 20_000
    assert done.report["keys"] <= 1000
    assert done.report["evicted"] == 20_000 - done.report["keys"]
    assert [text for text in done.warnings if "key" in text] == [
        "1,000 keys so far, 100% of them with a single record: is --key k right?"
    ]


SEEDED = """
import sys, trio
from support.streams import make_data, open_bytes, as_jsonl, train
import hashlib
result = trio.run(lambda: train(open_bytes([as_jsonl(make_data(600, 100))], max_keys=128), shards=2))
print(hashlib.sha256(repr((sorted(result.state.items()), result.predictions)).encode()).hexdigest())
"""


def test_the_shard_of_a_key_is_the_same_in_every_process() -> None:
    paths = os.pathsep.join(sys.path)
    found = [
        subprocess.run(
            [sys.executable, "-c", SEEDED],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] != b""


async def test_one_key_that_floods() -> None:
    rng = np.random.default_rng(0)
    who = np.where(rng.random(6000) < 0.5, 0, rng.integers(1000, size=6000)).tolist()
    given = {"seq_len": 4, "batch_size": 32, "max_keys": 1024}
    records = open_records([{"k": k, "x": n % 9} for n, k in enumerate(who)], **given)
    model, sizes = records.model(hidden_size=4, seed=1), []
    trainer = Trainer(model, Adam(0.003), executor="inline")
    await trainer.run(records, on_report=lambda report: sizes.append(report.tokens))
    report = records.report()
    keys = len(set(who))
    assert (report["applied"], report["unlabelled"], report["keys"]) == (6000 - keys, keys, keys)
    assert max(np.diff(sizes)) <= 4 * 32


# Time

TIMES: dict[str, tuple[list[object], tuple[int, int], int]] = {
    "leap seconds": (
        ["2016-12-31T23:59:59Z", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", "2024-01-01T24:00:00Z"],
        (3, 1),
        0,
    ),
    "one instant": (
        [
            *("2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00.500000000Z"),
            *("2024-01-01T00:00:00.5z", "2024-01-01 05:30:00.5+0530", "2023-12-31T19:00:00.5-05", 1704067200.5),
        ],
        (6, 1),
        0,
    ),
    "an hour that comes twice": (
        [f"2024-10-27T{hour}" for hour in ("01:00", "01:30", "01:00", "01:30", "02:00")],
        (4, 1),
        1,
    ),
    "a counter that begins again": ([4294967.1, 4294967.2, 0.0, 0.1], (3, 1), 1),
}  # fmt: skip


@pytest.mark.parametrize("what", TIMES)
async def test_times_as_they_come(what: str) -> None:
    times, counts, late = TIMES[what]
    data = [{"k": "a", "x": n + 1, "t": time} for n, time in enumerate(times)]
    done = await run(data, time="t")
    assert done.counts == (*counts, 0, 1)
    assert done.report["late"] == late
    inputs = inputs_of(data, time="t")
    assert np.isfinite(inputs).all()
    assert np.abs(inputs).max() <= 5


async def test_a_long_gap_is_as_the_user_says() -> None:
    times = [*range(0, 1200, 60), *range(22_800, 24_000, 60)]
    data = [{"k": "a", "x": n % 5, "t": time} for n, time in enumerate(times)]
    assert (await run(data, time="t")).counts == (39, 1, 0, 1)
    assert (await run(data, time="t", max_gap=3600.0)).counts == (38, 2, 0, 1)


# CSV as it comes

ROWS = "".join(f"k{n % 3},{n % 7}\n" for n in range(300))


@pytest.mark.parametrize(
    ("data", "rejected"),
    [
        ("k,x\r\n" + ROWS.replace("\n", "\r\n"), 0),
        ("\ufeffk,x\n" + ROWS, 0),
        ("k,x\n" + ROWS[:600] + "k,x\n" + ROWS[600:], 0),  # two logs in one
        ("k,x\n" + ROWS.replace("k1,3\n", '"k1","3"\n'), 0),
        ("k,x\n" + ROWS + "k1\nk1,2,3\n", 2),
        ("k,x\n" + ROWS + "x,k\n", 1),  # another header is a row, and none of these
        ('k,x\n"ok,1\n' + ROWS, 1),  # a quote that is never closed
        ("k,x\n" + ROWS[:-1], 0),
    ],
)
async def test_rows_as_they_come(data: str, rejected: int) -> None:
    plain, done = await run("k,x\n" + ROWS, "csv"), await run(data, "csv")
    assert done.report["rejected"] == rejected
    assert done.counts[:2] == plain.counts[:2]
    assert done.predictions == plain.predictions
    assert done.losses == plain.losses
