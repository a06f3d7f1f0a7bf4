"""The command in a process of its own, forked from one that has imported it, as interpreters take long to start.

``python -m support.forking DESCRIPTOR`` is that one: it has no threads, and forks for each message at the socket. What
is forked has its own descriptors, folder, environment and words, and goes through `main`, which ends it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["run_forked"]

TESTS = Path(__file__).parent.parent
MOST = 1 << 20  # bytes that are received at once


@cache
def _server() -> socket.socket:
    """Started at the first use; it ends when this process does, as nobody else holds the socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        # It is no child of this process, whose children some tests count: the one that is goes at once.
        subprocess.run(
            [sys.executable, "-m", "support.forking", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
            stdin=subprocess.DEVNULL,
            cwd=TESTS,
            check=True,
        )
    ours.settimeout(60)
    return ours


def run_forked(words: list[str], data: bytes) -> tuple[int, bytes, bytes]:
    """Run the command to its end with `data` in a pipe: its exit code, standard output and standard error."""
    server = _server()
    (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = (os.pipe() for _ in range(3))
    os.umask(mask := os.umask(0))
    message = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ), "mask": mask}
    line = json.dumps(message).encode() + b"\n"
    sent = socket.send_fds(server, [line], [theirs_in, theirs_out, theirs_err])
    server.sendall(line[sent:])
    for descriptor in (theirs_in, theirs_out, theirs_err):
        os.close(descriptor)
    with ThreadPoolExecutor(3) as threads:
        threads.submit(_write, ours_in, data)
        output, errors = (threads.submit(_read, descriptor) for descriptor in (ours_out, ours_err))
        return int(server.recv(99)), output.result(), errors.result()


def _write(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb") as file:
        file.write(data)  # or nobody wants it


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


def serve(messages: socket.socket, main: Callable[[], object]) -> None:
    """Fork for each message, and answer with the exit code, until nobody is there."""
    while True:
        message, descriptors, *_ = socket.recv_fds(messages, MOST, 3)
        if not message:
            return
        while not message.endswith(b"\n"):
            message += messages.recv(MOST)
        child = os.fork()
        if not child:
            job = json.loads(message)
            messages.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.chdir(job["folder"])
            os.umask(job["mask"])
            os.environ.clear()
            os.environ.update(job["environment"])
            sys.argv[1:] = job["words"]
            main()
        for descriptor in descriptors:
            os.close(descriptor)
        messages.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    from recurrio.pipeline.command import commands  # noqa: F401 (so that it is there)
    from recurrio.pipeline.command.cli import main

    with socket.socket(fileno=int(sys.argv[1])) as ours:
        sys.argv[:] = ["-c"]
        serve(ours, main)
