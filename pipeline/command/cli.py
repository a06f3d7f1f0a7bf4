"""The `recurrio` command.

Exit codes: 0 done, 1 failed, 2 wrong usage; interrupted: 130 by SIGINT (Ctrl-C), 143 by SIGTERM, 129 by SIGHUP.
Whatever goes wrong is one line on standard error.

This module imports as little as can be, not even typing: signals are answered while NumPy and trio are loaded.
"""

from __future__ import annotations

import os
import signal
import sys

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
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # until `Interrupts` answers, which is to be imported
        signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"recurrio: interrupted\n"), os._exit(130)))
    from .output import fill_descriptors
    from .signals import Interrupts

    fill_descriptors()
    interrupts = Interrupts()
    os._exit(interrupts.run(lambda: _run(interrupts)))


def _run(interrupts: Interrupts) -> int:
    from .output import open_output

    open_output(interrupts)
    from .commands import run  # it imports the rest

    return run(sys.argv[1:], interrupts)
