"""The demonstration: devices, a trainer that learns from them and is killed, and the serial loop beside it."""

from __future__ import annotations

import os
import shlex
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from ..checkpoint import CheckpointStore, Found
from ..flow.group import open_group
from ..observe.timeline import Timeline
from ..sources import SourceError
from .beside import by_the_pipeline, by_the_serial_loop, digest
from .devices import DEVICES, devices
from .folder import states_path
from .how_called import how_called
from .signals import Interrupts

__all__ = ["demo"]

# So large a model, with a delay and in processes, that there is something to overlap, and that it does.
WHAT = "--key device --features temperature,humidity --target temperature@+1 --interval 0.9"
LARGE = "--hidden 256 --delay 1 --executor process"
KEPT = "--checkpoint-every 2s --keep 1000 --resume"
START = "import sys; from recurrio.pipeline.command.cli import main; main()"
LOOK = 0.1  # seconds
WIDTH = 54  # columns of the picture
BATCHES = 8  # in it


def demo(seconds: float, interrupts: Interrupts, *, browse: bool) -> bool:
    """Show it, `seconds` of it live, and the page in a browser if that is to `browse`; whether all held that it says.

    Raises SourceError where the trainer does not go on, OSError.
    """
    with interrupts.hold(), tempfile.TemporaryDirectory(prefix="recurrio-") as folder:
        return trio.run(partial(_demo, seconds, interrupts, Path(folder) / "run", browse=browse))


async def _demo(seconds: float, interrupts: Interrupts, folder: Path, *, browse: bool) -> bool:
    token, held = trio.lowlevel.current_trio_token(), True
    with trio.CancelScope() as scope, interrupts.forward(partial(token.run_sync_soon, scope.cancel)):
        await _live(seconds, folder, browse=browse)
        held = await _once_more(str(folder))
    return held


async def _live(seconds: float, folder: Path, *, browse: bool) -> None:
    """Train on what the devices send, the second half of the time by another process than the first."""
    listens, serves = _free_ports(2)
    words = [f"tcp-listen://127.0.0.1:{listens}", *WHAT.split(), *LARGE.split(), *KEPT.split(), "--out", str(folder)]
    page = f"http://127.0.0.1:{serves}" if _can_serve() else None
    words += ["--serve", f"127.0.0.1:{serves}"] if page else []
    store = CheckpointStore(states_path(folder))
    print(f"1. {DEVICES} simulated devices send what they measure, over TCP. One model learns")
    print("   from all of them as it comes:\n")
    print(f"   {how_called()} train {shlex.join(words)}\n")
    print("   " + (f"Look at it: {page}" if page else "With pip install 'recurrio[serve]' it has a page, too."))
    print(flush=True)
    async with open_group() as group:
        group.start_background(devices, listens)
        async with _trainer(words) as process:
            if page:
                await _until(partial(_answers, serves), process)
            if page and browse:
                group.start_background(partial(trio.to_thread.run_sync, webbrowser.open, page, abandon_on_cancel=True))
            await _until(store.steps, process)
            await _while(process, seconds / 2)
        step = store.steps()[-1]
        print(f"2. Killed without a warning (SIGKILL); the last checkpoint is of batch {step:,}.")
        print("   The same command again, which goes on from there:\n", flush=True)
        async with _trainer(words) as process:
            await _until(lambda: store.steps()[-1] > step + 1, process)
            await _while(process, seconds / 2)
            process.terminate()  # as Ctrl-C does
            await process.wait()


async def _once_more(folder: str) -> bool:
    """Train on what was journaled again; whether the same came of it."""
    store = CheckpointStore(states_path(folder))
    first, last = _found(store, store.steps()[0]), _found(store, store.steps()[-1])
    print(f"\n3. The same records again, as fast as they go, from batch {first.step:,} to {last.step:,}.")
    print("   SHA-256 of weights, optimizer and hidden states, and seconds:\n")
    live = digest(last.part.part("training"))
    print(f"   as it was, killed once  {live[:16]}…", flush=True)
    serial = await by_the_serial_loop(folder, first, last.step)
    print(f"   the serial loop         {serial.digest[:16]}…  {serial.seconds:6.2f}", flush=True)
    timeline = Timeline(1_000_000)
    stages = await by_the_pipeline(folder, first, last.step, timeline)
    ratio = stages.seconds / serial.seconds
    print(f"   the pipeline            {stages.digest[:16]}…  {stages.seconds:6.2f}  {ratio:.2f} of the time\n")
    print("   Who computed at its end, from left to right, and on which batch (last digit):\n")
    print("\n".join(f"   {line}" for line in timeline.lines(BATCHES, WIDTH)))
    same = live == serial.digest == stages.digest
    print("\nShown:" if same else "\nNOT shown, because the bits differ, which is a fault; please report it:")
    print(f"- One model learned from {DEVICES} devices, and forecast each record before it saw it.")
    print("- It was killed, and went on to the bits of the loop that nobody has stopped.")
    print(f"- Stages that overlap, here for {timeline.overlap:.0%} of the time, come to the same bits.")
    print(f"\nNow with records of your own: {how_called()} train --help")
    print(f"Or see it learn a text: {how_called()} demo text", flush=True)
    return same


def _found(store: CheckpointStore, step: int) -> Found:
    found = store.newest(step)
    assert found is not None
    return found


@asynccontextmanager
async def _trainer(words: list[str]) -> AsyncIterator[trio.Process]:
    """The command in a process of its own, on this terminal; killed at the end of the block."""
    process = await trio.lowlevel.open_process([sys.executable, "-c", START, "train", *words])
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            _below()


async def _until(there: Callable[[], object], process: trio.Process) -> None:
    """Wait until something is `there`. Raises SourceError where the trainer has ended before."""
    while not there():
        if process.poll() is not None:
            raise SourceError(f"the trainer of the demonstration has ended, with the code {process.returncode}")
        await trio.sleep(LOOK)


async def _while(process: trio.Process, seconds: float) -> None:
    """Wait so many seconds. Raises SourceError where the trainer has ended before."""
    end = trio.current_time() + seconds
    await _until(lambda: trio.current_time() >= end, process)


def _answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody uses now."""
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in socks]


def _can_serve() -> bool:
    try:
        from ..serving import server  # noqa: F401 (it needs what may not be installed)
    except ImportError:
        return False
    return True


def _below() -> None:
    """Go on below what a display has left behind that could not end: its last line is not whole, the cursor hidden."""
    live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    print("\033[?25h\n" if live else "", flush=True)
