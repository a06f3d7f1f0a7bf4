"""The `recurrio` command.

Exit codes: 0 done, 1 failed, 2 wrong usage; interrupted: 130 by SIGINT (Ctrl-C), 143 by SIGTERM, 129 by SIGHUP.
Whatever goes wrong is one line on standard error.

This module imports as little as can be, not even typing: signals are answered while NumPy and trio are loaded.
"""

from __future__ import annotations

import os
import signal
import sys

from ..launch import asks_for_mpi, launched_rank

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .signals import Interrupts

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line, and end the process with its exit code.

    At once, without the interpreter's own end: that takes a while with a large model, has no handlers of signals any
    more, and nothing is left for it to do.
    """
    rank = launched_rank() if asks_for_mpi(sys.argv) else None
    if rank:  # of an MPI job: it computes for rank 0, which alone reads, prints and writes
        from ..executors.mpi import serve_if_worker

        serve_if_worker()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # until `Interrupts` answers, which is to be imported
        signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"recurrio: interrupted\n"), os._exit(130)))
    from .output import fill_descriptors
    from .signals import Interrupts

    fill_descriptors()
    interrupts = Interrupts()
    code = interrupts.run(lambda: _run(interrupts, rank is not None))
    if rank is not None:
        sys.exit(code)  # MPI has something to do at the exit
    os._exit(code)


def _run(interrupts: Interrupts, in_mpi_job: bool) -> int:
    from .output import open_output

    open_output(interrupts)
    from .commands import run  # it imports the rest

    code = run(sys.argv[1:], interrupts)
    if in_mpi_job:  # also where it has not come to training: the other ranks wait
        from ..executors.mpi_job import leave

        leave()
    return code
