"""Worker processes: where there can be some, how one is started, and how it ends with its parent."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import subprocess
import sys

__all__ = ["WORKER", "WorkerError", "end_with", "obstacle", "processors", "start_worker"]

PR_SET_PDEATHSIG = 1  # of Linux
WORKER = "RECURRIO_WORKER"  # in the environment of a worker
BLAS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerError(RuntimeError):
    """A worker process has ended while it was needed."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def obstacle() -> str | None:
    """Why worker processes cannot compute here; None where they can.

    Ranks take anonymous shared memory to meet in, a processor that keeps stores in order, and an interpreter to run.
    """
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine != "x86_64":
        return f"worker processes take Linux on x86-64, and this is {system} on {machine}"
    if not hasattr(os, "memfd_create"):
        return "this Python was built without memfd_create"
    if WORKER in os.environ:  # whatever a program makes of the words of a worker, it starts no more of them
        return "this program has been started as a worker process"
    if getattr(sys, "frozen", False):
        return "this is a frozen application, which is not Python and would start itself"
    executable = sys.executable or ""  # None, or empty, where Python cannot say
    names = [os.path.basename(path).lower() for path in (executable, os.path.realpath(executable))]
    if not any(name.startswith(("python", "pypy")) for name in names) or not os.access(executable, os.X_OK):
        return f"sys.executable is {executable!r}, which is no Python that can be run"
    return None


def start_worker(code: str, words: list[int], descriptors: list[int], blas_threads: int = 1) -> subprocess.Popen[bytes]:
    """Start Python on `code`, with `words` and then this process's number behind it, and a pipe to its input.

    It has these `descriptors` open, and the modules that this process can import. It reads from its pipe, and ends with
    it; the kernel ends it with the thread that has started it, if it calls `end_with`.
    """
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path if isinstance(entry, str))
    threads = dict.fromkeys(BLAS, str(blas_threads))
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *map(str, (*words, os.getpid()))],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        bufsize=0,
        pass_fds=descriptors,
        env={**os.environ, **threads, "PYTHONPATH": path, WORKER: "1"},
        start_new_session=True,  # Ctrl-C is for the parent, which then closes the pipe
    )


def end_with(parent: int) -> None:
    """Let the kernel end this process when its `parent` ends, also while it is stopped; end it now, if that has been.

    In particular it ends with the thread of the parent that has started it. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if os.getppid() != parent:
        os._exit(1)
