"""Hosts in one machine: network namespaces, linked by a bridge in one more, whose links can be cut."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Hosts", "hosts", "why_not"]


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def why_not() -> str | None:
    """Why there can be no namespaces here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces take root, and the command ip"
    try:
        _ip("netns", "add", name := f"recurrio-{os.getpid()}-try")
        _ip("netns", "del", name)
    except subprocess.CalledProcessError as error:
        return f"there can be no network namespaces here: {error.stderr}"
    return None


class Hosts:
    """So many of them, the first of which starts the job; scripts go to `folder`."""

    def __init__(self, count: int, folder: Path) -> None:
        self._name, self._count = f"recurrio-{os.getpid()}", count
        self._launcher = folder / "launcher"  # MPICH cuts the path at a space
        self._launcher.write_text(
            '#!/bin/sh\n# As ssh is called: options, the host, a command.\nwhile [ "${1#-}" != "$1" ]; do shift; done\n'
            f'host=$1; shift\nexec ip netns exec {self._name}-$((${{host##*.}} - 1)) sh -c "$*"\n'
        )
        self._launcher.chmod(self._launcher.stat().st_mode | stat.S_IXUSR)

    @property
    def before(self) -> tuple[str, ...]:
        """What starts mpiexec on the first host."""
        return ("ip", "netns", "exec", f"{self._name}-0")

    @property
    def options(self) -> tuple[str, ...]:
        """Those of mpiexec, for a rank on each host."""
        addresses = ",".join(f"10.77.0.{number + 1}" for number in range(self._count))
        return ("-launcher", "ssh", "-launcher-exec", str(self._launcher), "-hosts", addresses)

    def sent_and_received(self, number: int) -> tuple[int, int]:
        """How many bytes have gone over the interface of a host."""
        script = "cat /sys/class/net/eth0/statistics/tx_bytes /sys/class/net/eth0/statistics/rx_bytes"
        sent, received = _ip("netns", "exec", f"{self._name}-{number}", "sh", "-c", script).split()
        return int(sent), int(received)

    def cut(self, number: int) -> None:
        """Let nothing more go from and to a host; neither side is told."""
        _ip("-n", f"{self._name}-hub", "link", "set", f"to{number}", "down")

    def up(self) -> None:
        """Make them."""
        hub = f"{self._name}-hub"
        _ip("netns", "add", hub)
        _ip("-n", hub, "link", "add", "hub", "type", "bridge")
        _ip("-n", hub, "link", "set", "hub", "up")
        for number in range(self._count):
            name = f"{self._name}-{number}"
            _ip("netns", "add", name)
            _ip("-n", hub, "link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("-n", hub, "link", "set", f"to{number}", "master", "hub", "up")
            _ip("-n", name, "addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def down(self) -> None:
        """Remove them."""
        for part in [*range(self._count), "hub"]:
            subprocess.run(["ip", "netns", "del", f"{self._name}-{part}"], check=False, capture_output=True)


@contextmanager
def hosts(count: int, folder: Path) -> Iterator[Hosts]:
    """So many hosts, for the block."""
    made = Hosts(count, folder)
    try:
        made.up()
        yield made
    finally:
        made.down()
