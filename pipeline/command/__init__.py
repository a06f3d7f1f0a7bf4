"""The command line.

`cli` starts, and `commands` do: `train`, `generate` and `demo` are a file each. `options` say what can be asked for,
`settings` what a run is asked for; `folder` is where its model goes. `display` shows it, `live` on a terminal; `output`
is standard output and standard error, `signals` Ctrl-C and its kin.
"""

from .cli import main

__all__ = ["main"]
