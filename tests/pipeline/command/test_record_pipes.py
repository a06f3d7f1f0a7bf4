"""Records that come through a pipe: slowly, for ever, without an end of line; and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import without_notice
from support.in_process import parsed, run_here

from recurrio.core.online.record_model import RecordModel

PLAIN = ["--key", "k", "--features", "x", "--target", "x@+1"]
Start = Callable[..., subprocess.Popen[bytes]]
Recurrio = Callable[..., subprocess.CompletedProcess[str]]


def record(key: object, x: object) -> bytes:
    return json.dumps({"k": key, "x": x}).encode() + b"\n"


LINES = [record(n % 5, n % 7) for n in range(2000)]


def interruptible() -> None:
    """Whoever starts the tests in the background has SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    """The next line, and no more: what a buffer has read ahead, `communicate` does not find."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n") and (part := os.read(process.stdout.fileno(), 1)):
        line += part
    return line


def send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_writes_what_was_learned(number: signal.Signals, code: int, start: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["train", "-", *PLAIN, "--json", "--report-every", 1, "--out", out]
    process = start(*words, stdin=subprocess.PIPE, preexec_fn=interruptible)
    send(process, b"".join(LINES))
    assert process.stdout is not None
    first = line_of(process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "interrupted: " in errors.decode()
    last = parsed((first + output).decode())[-1]
    parts = ("applied", "unlabelled", "dropped", "rejected", "waiting")
    assert sum(last[part] for part in parts) == last["records"] == len(LINES)
    RecordModel.load(out / "model.safetensors")


def test_linger_trains_on_what_waits(start: Start, tmp_path: Path) -> None:
    words = [
        "train",
        "-",
        *PLAIN,
        "--linger",
        "20ms",
        "--stride",
        4,
        "--json",
        "--report-every",
        1,
        "--out",
        tmp_path / "out",
    ]
    process = start(*words, stdin=subprocess.PIPE)
    assert process.stdout is not None
    for step, count in enumerate((3, 2), 1):  # too few for a chunk
        send(process, b"".join(record("a", n) for n in range(count)))
        report = json.loads(line_of(process))
        assert (report["step"], report["applied"]) == (step, [2, 4][step - 1])
    output, _ = process.communicate(timeout=30)
    assert parsed(output.decode())[-1]["unlabelled"] == 1


def test_keys_without_records_go(start: Start, tmp_path: Path) -> None:
    words = [
        "train",
        "-",
        *PLAIN,
        "--key-ttl",
        "50ms",
        "--stride",
        4,
        "--json",
        "--report-every",
        1,
        "--out",
        tmp_path / "out",
    ]
    process = start(*words, stdin=subprocess.PIPE)
    assert process.stdout is not None
    send(process, record("a", 1) + record("a", 2) + record("b", 3))
    report = json.loads(line_of(process))  # what is there of a key that goes is trained on
    assert report["applied"] == 1
    send(process, record("b", 4))  # is new again
    output, _ = process.communicate(timeout=30)
    report = parsed(output.decode())[-1]
    assert (report["expired"], report["keys"], report["unlabelled"]) == (2, 1, 3)


@pytest.mark.parametrize("how", ["empty", "closed"])
def test_standard_input_without_records(how: str, start: Start, tmp_path: Path) -> None:
    options: dict[str, object] = {"stdin": subprocess.DEVNULL}
    if how == "closed":
        options = {"preexec_fn": lambda: os.close(0)}
    process = start("train", "-", *PLAIN, "-q", "--out", tmp_path / "out", **options)
    output, errors = process.communicate(timeout=30)
    what = {"empty": "there are no records", "closed": "is closed"}[how]
    assert (process.returncode, output, without_notice(errors)) == (
        1,
        b"",
        f"recurrio: standard input: {what}\n".encode(),
    )


@pytest.mark.parametrize("words", [["--predictions", "-"], ["--json", "--report-every", 1]])
def test_a_reader_that_has_had_enough_is_no_error(words: list[object], start: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("train", "-", *PLAIN, *words, "--linger", "10ms", "--out", out, stdin=subprocess.PIPE)
    assert process.stdout is not None
    send(process, b"".join(LINES[:100]))
    line_of(process)
    time.sleep(0.2)  # the chunks that wait are trained on
    process.stdout.close()
    process.stdout = None
    send(process, b"".join(LINES[100:]))
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in errors.decode()
    RecordModel.load(out / "model.safetensors")


def test_predict_gives_each_line_at_once(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.jsonl").write_bytes(b"".join(LINES))
    words = ["--key", "k", "--features", "x,c:category", "--target", "x@+1,y"]
    assert run_here("train", "data.jsonl", *words, "--out", "out").code == 0
    process = start("predict", "out", "-", stdin=subprocess.PIPE)
    assert process.stdout is not None
    said = []
    for number, line in enumerate([b'{"k":1,"x":2,"c":"new"}\n', b'{"k":1}\n', b"{oops\n", b"\n" + record("z", 1)]):
        send(process, line)
        said.append(json.loads(line_of(process)))
        assert len(said) == number + 1
    assert [one["record"] for one in said] == [0, None, None, 1]
    assert [*said[0]["prediction"]] == ["x@+1", "y"]
    assert [one["prediction"] for one in said[1:3]] == [None, None]
    assert [one["reason"] for one in said[1:3]] == [
        "none of the declared fields; it has: k",
        "malformed JSON: object keys must be strings (byte 1)",
    ]
    send(process, record("z", 2)[:-1])  # a last line needs no end
    output, errors = process.communicate(timeout=30)
    assert json.loads(output)["record"] == 2
    assert process.returncode == 0
    assert b"2 records were rejected" in errors


def test_predict_takes_the_fields_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(f"k{n % 5}", n % 7 + 0.25, "ab"[n % 2], n % 3) for n in range(500)]
    Path("a.csv").write_text("k,x,c,y\n" + "".join(f"{k},{x},{c},{y}\n" for k, x, c, y in rows))
    Path("b.csv").write_text("c,note,x,k\n" + "".join(f"{c},-,{x},{k}\n" for k, x, c, _ in rows))  # without the label
    Path("c.jsonl").write_text("".join(json.dumps({"x": x, "k": k, "c": c}) + "\n" for k, x, c, _ in rows))
    assert (
        run_here("train", "a.csv", "--key", "k", "--features", "x,c:category", "--label", "y", "--out", "out").code == 0
    )
    outputs = [run_here("predict", "out", source).output for source in ("a.csv", "b.csv", "c.jsonl")]
    assert outputs[0] == outputs[1] == outputs[2]
    lines = parsed(outputs[0])
    assert [line["record"] for line in lines] == [*range(500)]
    assert {line["prediction"] for line in lines} <= {"0", "1", "2"}
    Path("d.csv").write_text("k,x\nk0,1\n")
    done = run_here("predict", "out", "d.csv")
    assert done.code == 1
    assert "d.csv: no column c; the columns are: k, x" in done.errors


MEASURED = """
import os
end = os._exit
def measured(code):
    (line,) = (line for line in open("/proc/self/status", "rb") if line.startswith(b"VmHWM:"))
    os.write(2, b"memory " + line.split()[1])
    end(code)
os._exit = measured
"""
MANY = [record(n % 5, n % 7) for n in range(5000)]
HUGE = {
    "a key of a megabyte": (record("k" * 1_000_000, 1), 1),
    "keys of a megabyte": (record("k" * 1_000_000, 1) * 20, 20),
    "a line without an end": (b"x" * 5_000_000 + b"\n", 1),
    "many such lines": ((b"x" * 5_000_000 + b"\n") * 10, 10),
    "a quote without an end": (b'{"k": "' + b"x" * 5_000_000 + b"\n", 1),
    "deep arrays": (b"[" * 900_000 + b"\n", 1),
}


def memory_of(process: subprocess.Popen[bytes], data: bytes) -> tuple[int, bytes]:
    """The most memory that the process has had, in MiB, and what it said."""
    output, errors = process.communicate(data, timeout=60)
    assert process.returncode == 0, errors
    return int(errors.split(b"memory ")[1]) // 1024, output


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="sees from /proc how much memory there was")
def test_what_is_too_long_is_skipped_and_takes_no_memory(start: Start, tmp_path: Path) -> None:
    least = 0
    for what, (data, count) in {"nothing": (b"", 0), **HUGE}.items():
        words = ["train", "-", *PLAIN, "--json", "--out", tmp_path / what]
        process = start(*words, stdin=subprocess.PIPE, prelude=MEASURED)
        memory, output = memory_of(process, b"".join(MANY[:2500]) + data + b"".join(MANY[2500:]))
        report = parsed(output.decode())[-1]
        assert (report["rejected"], report["applied"]) == (count, 4995), what
        least = least or memory
        assert memory < least + 12, what  # MiB
