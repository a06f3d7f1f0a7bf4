"""The file of rejects: what stands in it, its bounds, and the counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.records import decode

from recurrio.pipeline.decoding.block import Reject
from recurrio.pipeline.decoding.quarantine import Quarantine, kind_of_reason


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_reject_is_a_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    path.write_text("of a run before\n")
    block = decode(b'{"k":1,"x":"\xff"}\n{"k":1,"x":true}\n{"k":1,"x":"red"}\n{"k":"\\ud800","x":1}\n')
    with Quarantine(path) as quarantine:
        quarantine.add(block.rejects[:1])
        quarantine.add(block.rejects[1:])
        assert len(read(path)) == 4
    first = read(path)[0]
    assert first == {
        "source": "book", "line": 1, "reason": "x: expected text in UTF-8", "data": '{"k":1,"x":"\\xff"}',
    }  # fmt: skip
    assert quarantine.count == 4
    assert quarantine.kinds == {
        "x: expected text in UTF-8": 1,
        "x: expected a number": 2,
        "half a character, written with \\u": 1,
    }


def test_it_is_bounded(tmp_path: Path) -> None:
    rejects = [Reject(0, "book", line, f"reason {line}", b"x" * 5000) for line in range(1, 300)]
    with Quarantine(tmp_path / "rejects", most=100) as quarantine:
        quarantine.add(rejects)
        quarantine.add(rejects)
    lines = read(tmp_path / "rejects")
    assert len(lines) == 101
    assert lines[-1] == {"reason": "no more rejects are written behind the first 100"}
    assert len(str(lines[0]["data"])) == 500
    assert quarantine.count == 598
    assert len(quarantine.kinds) == 101
    with Quarantine(tmp_path / "rejects", most=10**9) as quarantine:
        quarantine.add(rejects * 100)
    assert (tmp_path / "rejects").stat().st_size < 11 << 20


def test_without_a_file_it_counts() -> None:
    quarantine = Quarantine()
    quarantine.add([Reject(0, "book", 1, "expected 2 columns, got 3", b"")])
    quarantine.close()
    assert (quarantine.count, quarantine.kinds) == (1, {"expected 2 columns": 1})
    assert kind_of_reason("key k is missing") == "key k is missing"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such folder"):
        Quarantine(tmp_path / "no such folder" / "rejects")
