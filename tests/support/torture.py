"""Kills runs of the command, lets them go on, and compares what they leave with a run that nobody has killed.

For a process of its own, ``python -m support.torture JOB``, which forks one for each run: it has imported everything,
and has no threads. JOB is JSON: the ``words`` of the command, a ``folder``, and how to kill: at each I/O operation
(``points``: all of them, or every so many), or ``random`` times, with a ``seed``. With ``lines``, a file, a producer
sends these to the socket ``s`` in the folder of the run, and numbers them. It prints what came of it, as JSON.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from recurrio.core.base import files, line_file
from recurrio.pipeline.checkpoint import CheckpointStore
from recurrio.pipeline.command.commands import run
from recurrio.pipeline.command.signals import Interrupts
from recurrio.pipeline.lanes.open_records import open_records  # noqa: F401 (so that it is there)
from support.states import differing

__all__ = ["Points"]

OUTPUTS = ("predictions", "rejects", "reports")
MOST = 30  # runs until one has come to its end


class Points:
    """Counts the I/O operations of this process that change something, and kills it at the `last`, if one is given.

    A write is two: nothing of it is there, and half of it.
    """

    def __init__(self, last: int | None) -> None:
        self.count, self._last = 0, last

    def reach(self, half: Callable[[], object] | None = None) -> None:
        """An operation is about to be done; what `half` of it is."""
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)
        if half is not None:
            self.count += 1
            if self.count == self._last:
                half()
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Look at all that the files of a run go through."""
        for name in ("fsync", "replace", "unlink", "truncate", "mkdir", "open", "writev"):
            setattr(os, name, self._counted(getattr(os, name)))
        for module in (files, line_file):
            module.open = self._open  # type: ignore[attr-defined]

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            if function is not OPEN or (len(arguments) > 1 and arguments[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                self.reach()
            return function(*arguments, **options)

        return counted

    def _open(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        file = builtins.open(*arguments, **options)  # noqa: SIM115 (whoever calls closes it)
        return _Watched(file, self) if file.writable() else file


OPEN = os.open


class _Watched:
    """A file whose writes are counted."""

    def __init__(self, file: io.IOBase, points: Points) -> None:
        self._file, self._points = file, points

    def write(self, data: bytes) -> int:
        view = memoryview(data).cast("B")

        def half() -> None:
            self._file.write(view[: len(view) // 2])  # type: ignore[attr-defined]
            self._file.flush()

        self._points.reach(half if len(view) > 1 else None)
        return int(self._file.write(view))  # type: ignore[attr-defined]

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._file, name)


def start(words: list[str], folder: Path, last: int | None = None) -> int:
    """A process that runs the command in `folder`; it writes how many operations there were to ``count``."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        out = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), write_through=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), write_through=True)
        points = Points(last)
        points.install()
        code = run(words, Interrupts())
        Path("count").write_text(str(points.count))
        os._exit(code)
    except BaseException as error:
        os.write(2, repr(error).encode())
    finally:
        os._exit(70)


def wait(child: int) -> int:
    """The exit code of a process, or the number of the signal that has killed it, below 0."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def left(folder: Path) -> dict[str, Any]:
    """What a run has left behind."""
    found: dict[str, Any] = {}
    for name in OUTPUTS:
        lines = b"".join(path.read_bytes() for path in _parts(folder / name)).splitlines()
        found[name] = [json.loads(line) for line in lines] if name == "reports" else lines
        for report in found[name] if name == "reports" else ():
            del report["timing"]
        found[f"{name} files"] = 0 if name == "reports" else [path.stat().st_size for path in _parts(folder / name)]
    newest = CheckpointStore(folder / "run/checkpoints").newest()
    assert newest is not None
    return found | {"state": newest.part, "model": (folder / "run/model.safetensors").read_bytes()}


def _parts(path: Path) -> list[Path]:
    found, number = [], 1
    while (part := path.with_name(f"{path.name}.{number}")).exists():
        found.append(part)
        number += 1
    return [*found, path] if path.exists() else found


def compare(found: dict[str, Any], expected: dict[str, Any], *, live: bool) -> list[str]:
    """What is not the same."""
    wrong = [name for name in expected if name != "state" and found[name] != expected[name]]
    return wrong + differing(found["state"], expected["state"], live=live)


def produce(folder: Path, lines: list[bytes]) -> int:
    """A process that sends numbered `lines` to the socket ``s`` in `folder`, again and again until they are safe."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child:
        return child
    try:
        os.chdir(folder)
        while True:
            with suppress(OSError):
                _send(lines)
            time.sleep(0.005)
    finally:
        os._exit(0)


def _send(lines: list[bytes]) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect("s")
        stream.sendall(b"RECURRIO-ACK me\n")
        answers = stream.makefile("rb")
        if not (answer := answers.readline()):
            return
        sent = int(answer.removeprefix(b"LAST "))
        while True:
            for number in range(sent, min(sent + 50, len(lines))):
                stream.sendall(b"%d\t%s\n" % (number + 1, lines[number]))
            goal = sent = min(sent + 50, len(lines))
            acknowledged = 0
            while acknowledged < goal:
                answer = answers.readline()
                if not answer:
                    return  # whoever listened is no more
                acknowledged = int(answer.removeprefix(b"ACK "))
            if sent == len(lines):
                time.sleep(60)


def at_points(
    words: list[str], folder: Path, every: int, expected: dict[str, Any], count: int, lines: list[bytes]
) -> dict[str, Any]:
    failures, killed, over = [], 0, 0
    for point in range(1, count + 1, every):
        here = folder / f"at-{point}"
        producer = produce(here, lines) if lines else 0
        code = wait(start(words, here, point))
        killed += code == -signal.SIGKILL
        if code == 0:  # it has skipped a checkpoint, as the one before was still being written, and had fewer
            over += int((here / "count").read_text()) < point
        codes = [code]
        if code and point % 3 == 0:
            codes.append(wait(start(words, here, 1 + point % 17)))  # and once more while it recovers
        failures += finish(words, here, expected, codes, f"at operation {point}", producer)
    return {"points": count, "killed": killed, "over": over, "failures": failures}


def workers_of(process: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(number) for number in path.read_text().split()]
    return found


def at_random(
    words: list[str],
    folder: Path,
    times: int,
    expected: dict[str, Any],
    seed: int,
    seconds: float,
    lines: list[bytes],
) -> dict[str, Any]:
    rng, killed, failures, number, of_workers = random.Random(seed), 0, [], 0, 0
    while killed < times:
        number += 1
        here, codes = folder / f"random-{number}", []
        producer = produce(here, lines) if lines else 0
        for _ in range(rng.choice([1, 1, 2, 3])):
            child = start(words, here)
            time.sleep(rng.random() * seconds)
            workers = workers_of(child)
            one = rng.choice(workers) if workers and rng.random() < 0.4 else child
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
            of_workers += one != child
            codes.append(wait(child))
            killed += codes[-1] != 0
            if not codes[-1]:
                break
        failures += finish(words, here, expected, codes, f"at random, {number}", producer)
    return {"killed": killed, "of workers": of_workers, "runs": number, "failures": failures}


def finish(
    words: list[str], here: Path, expected: dict[str, Any], codes: list[int], what: str, producer: int
) -> list[str]:
    """Let the run come to its end, and compare."""
    while codes[-1] and len(codes) < MOST:
        codes.append(wait(start(words, here)))
        if codes[-1] > 0:
            break
    if producer:
        os.kill(producer, signal.SIGKILL)
        wait(producer)
    if codes[-1]:
        return [f"{what}: ended with {codes}: {(here / 'log').read_text()[-500:]}"]
    wrong = compare(left(here), expected, live=bool(producer))
    if wrong:
        return [f"{what} ({codes}): {', '.join(wrong[:8])}, in {here}"]
    for path in sorted(here.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    here.rmdir()
    return []


def main() -> None:
    job = json.loads(sys.argv[1])
    if "points" in job:  # what is written outlives a kill, synced or not; so no run skips a checkpoint for a slow disk
        os.fsync = lambda _: None
    words, folder = job["words"], Path(job["folder"])
    lines = Path(job["lines"]).read_bytes().splitlines() if "lines" in job else []
    producer = produce(folder / "whole", lines) if lines else 0
    began = time.monotonic()
    code = wait(start(words, folder / "whole"))
    if producer:
        os.kill(producer, signal.SIGKILL)
    seconds = time.monotonic() - began
    if code:
        raise SystemExit((folder / "whole/log").read_text())
    expected, count = left(folder / "whole"), int((folder / "whole/count").read_text())
    if "points" in job:
        found = at_points(words, folder, job["points"], expected, count, lines)
    else:
        found = at_random(words, folder, job["random"], expected, job["seed"], seconds * 1.1, lines)
    print(json.dumps(found | {"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
