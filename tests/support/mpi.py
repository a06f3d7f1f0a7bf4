"""Jobs of MPI: where mpiexec is, how one is started, who is in it, and that nothing of it stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from support.command import without_notice

__all__ = ["COMMAND", "DEADLINE", "MPIEXEC", "job", "needs_mpi", "ranks_of", "run_job", "wait_for_the_end"]

BIN = os.path.dirname(sys.executable)
MPIEXEC = shutil.which("mpiexec", path=BIN) or ""  # not another one: it has to fit mpi4py's library
DEADLINE = 20.0  # seconds
COMMAND = ("-c", "from recurrio.pipeline.command.cli import main; main()")
MEMORY = Path("/dev/shm")
TESTS = Path(__file__).parent.parent

needs_mpi = pytest.mark.skipif(
    not MPIEXEC or find_spec("mpi4py") is None, reason=f"no mpi4py, or no mpiexec in {BIN} (pip install mpi4py mpich)"
)


@contextmanager
def job(
    ranks: int,
    *words: object,
    where: Path,
    before: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
    options: tuple[str, ...] = (),
) -> Iterator[subprocess.Popen[str]]:
    """mpiexec with so many ranks of ``python WORDS…``, in a group of its own; `before` starts it, `options` are its."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    process = subprocess.Popen(
        [*before, MPIEXEC, *options, "-n", str(ranks), sys.executable, *map(str, words)],
        env={**inherited, "PYTHONPATH": path, **(environment or {})},
        cwd=where,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for one in [*descendants(process.pid), process]:
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                one.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
        tidy()


def run_job(ranks: int, *words: object, where: Path, **how: object) -> subprocess.CompletedProcess[str]:
    """Such a job to its end."""
    with job(ranks, *words, where=where, **how) as process:  # type: ignore[arg-type]
        output, errors = process.communicate(timeout=600)
    return subprocess.CompletedProcess([*map(str, words)], process.returncode, output, said(errors))


def descendants(process: int) -> list[psutil.Process]:
    """The processes that it has started, and those that they have."""
    with suppress(psutil.NoSuchProcess):
        return list(psutil.Process(process).children(recursive=True))
    return []


def ranks_of(process: subprocess.Popen[str], count: int) -> dict[int, psutil.Process]:
    """The processes of its ranks, once there are so many."""
    until, found = time.monotonic() + DEADLINE, dict[int, psutil.Process]()
    while len(found) < count:
        assert time.monotonic() < until
        for one in descendants(process.pid):
            with suppress(psutil.Error):
                if one.name().startswith("python") and (rank := one.environ().get("PMI_RANK")) is not None:
                    found[int(rank)] = one
        time.sleep(0.02)
    return found


def wait_for_the_end(process: subprocess.Popen[str], ranks: dict[int, psutil.Process], seconds: float) -> str:
    """See that neither mpiexec nor a rank is there after so long; what they have said on standard error."""
    _, errors = process.communicate(timeout=seconds)
    gone, alive = psutil.wait_procs(list(ranks.values()), timeout=seconds)
    assert not alive, gone
    return said(errors)


def said(errors: str) -> str:
    """What was said on standard error, but for what is said wherever there are no kernels."""
    return without_notice(errors.encode()).decode()


def tidy() -> None:
    """Remove what killed jobs of MPICH have left in shared memory: what no process has."""
    there = list(MEMORY.glob("mpich_shm_*"))
    used = "".join(_maps()) if there else ""
    for path in there:
        if str(path) not in used:
            path.unlink(missing_ok=True)


def _maps() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            yield path.read_text()
