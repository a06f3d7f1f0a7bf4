"""A kernel of Jupyter: cells that run one behind the other, and what comes of them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

__all__ = ["Cell", "Kernel", "open_kernel"]

PATIENCE = 60.0  # seconds for a message


class Cell(NamedTuple):
    """What a cell has printed, the displays it has made and those that took their place, and its value or its error."""

    text: str
    displays: list[dict[str, str]]
    updates: list[dict[str, str]]
    value: dict[str, str]
    error: str | None
    traceback: str


class Kernel:
    """A kernel that runs; `open_kernel` makes one."""

    def __init__(self, manager: Any, client: Any) -> None:  # noqa: ANN401 (those of jupyter_client)
        self._manager, self._client = manager, client

    def run(self, code: str, interrupt_at: str | None = None) -> Cell:
        """Run a cell to its end; interrupt the kernel once it has printed `interrupt_at`."""
        asked = self._client.execute(code)
        text, displays, updates, value = "", list[dict[str, str]](), list[dict[str, str]](), dict[str, str]()
        error, traceback = None, ""
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream":
                text += content["text"]
                if interrupt_at is not None and interrupt_at in text:
                    interrupt_at = None
                    self._manager.interrupt_kernel()
            elif kind in ("display_data", "update_display_data"):
                (displays if kind == "display_data" else updates).append(content["data"])
            elif kind == "execute_result":
                value = content["data"]
            elif kind == "error":
                error, traceback = content["ename"], "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                return Cell(text, displays, updates, value, error, traceback)


@contextmanager
def open_kernel() -> Iterator[Kernel]:
    """A kernel of this Python, which is killed at the end."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    words = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    with tempfile.TemporaryDirectory() as folder:  # of the sockets, whose paths cannot be long
        manager = KernelManager(transport="ipc", ip=f"{folder}/kernel")
        manager._kernel_spec = KernelSpec(argv=words, language="python")
        manager.start_kernel()
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=PATIENCE)
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
