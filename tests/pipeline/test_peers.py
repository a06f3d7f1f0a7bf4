"""Every live source with a peer that other people wrote: the same records give the same bits as from a file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from support.live import port_in
from support.streams import as_jsonl, bits, make_data

from recurrio.core import Adam
from recurrio.pipeline import Records, Trainer, open_records

GIVEN: dict[str, Any] = {"features": "x,y,c:category", "target": "x@+1", "key": "k", "seq_len": 4, "batch_size": 6}
DATA = as_jsonl(make_data(1500, 12))
STEPS = 40
APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    with open(PATH, "rb") as file:
        for number, line in enumerate(file):
            event = b"id: %d\\ndata: %s\\n\\n" % (number, line.rstrip())
            await send({"type": "http.response.body", "body": event, "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
"""


def tool(name: str) -> str:
    """The path of a program that has to be installed; nc is OpenBSD's, whose options others do not have."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    if name == "nc" and "OpenBSD" not in subprocess.run([found, "-h"], capture_output=True, text=True).stderr:
        pytest.skip("nc is not that of OpenBSD")
    return found


@contextmanager
def started(*command: str, errors: str | None = None, data: Path | None = None) -> Iterator[str]:
    """A process that reads `data`, and what on standard error matches `errors`."""
    with (
        open(data or "/dev/null", "rb") as stdin,
        subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        try:
            found = None
            while errors is not None and found is None:
                line = process.stderr.readline()
                assert line, f"{command[0]} has ended"
                found = re.search(errors, line)
            yield "" if found is None else found[1]
        finally:
            process.kill()


async def train(records: Records) -> dict[str, bytes]:
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
    with trio.fail_after(30):
        await trainer.run(records, steps=STEPS)
    assert trainer.step == STEPS
    return bits(trainer.state)


@asynccontextmanager
async def listening(address: str, send: Callable[[str], Any]) -> AsyncIterator[Records]:
    """The records at `address`, to which a process sends once the notice is there."""
    said: list[str] = []
    async with open_records(address, **GIVEN, on_notice=said.append) as records, trio.open_nursery() as nursery:
        command, data = send(said[0])
        nursery.start_soon(partial(trio.run_process, command, stdin=data))
        yield records
        nursery.cancel_scope.cancel()


def nc(notice: str) -> tuple[list[str], bytes]:
    return [tool("nc"), "-N", "127.0.0.1", str(port_in(notice))], DATA


def socat(notice: str) -> tuple[list[str], bytes]:
    return [tool("socat"), "-u", "-", f"TCP:127.0.0.1:{port_in(notice)}"], DATA


def nc_unix(notice: str) -> tuple[list[str], bytes]:
    return [tool("nc"), "-N", "-U", "s"], DATA


def socat_unix(notice: str) -> tuple[list[str], bytes]:
    return [tool("socat"), "-u", "-", "UNIX-CONNECT:s"], DATA


def udp(command: str, notice: str) -> tuple[list[str], bytes]:
    """Datagrams of whole lines: a program sends at once what it reads, up to some thousand bytes."""
    port = port_in(notice)
    to = {"nc": f"-u -q0 127.0.0.1 {port}", "socat": f"-u - UDP:127.0.0.1:{port}"}[command]
    return ["sh", "-c", f'split -l 60 - part; for part in part??; do "{tool(command)}" {to} <$part; done'], DATA


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is learned from a file."""
    path = tmp_path_factory.mktemp("file") / "r.jsonl"
    path.write_bytes(DATA)

    async def learn() -> dict[str, bytes]:
        async with open_records(path, **GIVEN) as records:
            return await train(records)

    return trio.run(learn)


@pytest.fixture(autouse=True)
def folder(short: Path) -> Path:
    """With the records in a file."""
    (short / "r.jsonl").write_bytes(DATA)
    return short


@pytest.mark.parametrize(
    ("address", "send"),
    [
        pytest.param("tcp-listen://127.0.0.1:0", nc, id="tcp from nc"),
        pytest.param("tcp-listen://127.0.0.1:0", socat, id="tcp from socat"),
        pytest.param("unix:s", nc_unix, id="unix from nc"),
        pytest.param("unix:s", socat_unix, id="unix from socat"),
        pytest.param("udp-listen://127.0.0.1:0", partial(udp, "nc"), id="udp from nc"),
        pytest.param("udp-listen://127.0.0.1:0", partial(udp, "socat"), id="udp from socat"),
    ],
)
async def test_what_is_listened_to(
    address: str, send: Callable[[str], tuple[list[str], bytes]], expected: dict[str, bytes]
) -> None:
    async with listening(address, send) as records:
        assert await train(records) == expected


async def test_what_nc_serves(folder: Path, expected: dict[str, bytes]) -> None:
    command = [tool("nc"), "-l", "-v", "-n", "127.0.0.1", "0"]
    with started(*command, errors=r"Listening on \S+ (\d+)", data=folder / "r.jsonl") as port:
        async with open_records(f"tcp://127.0.0.1:{port}", **GIVEN) as records:
            assert await train(records) == expected


async def test_what_socat_serves(folder: Path, expected: dict[str, bytes]) -> None:
    command = [tool("socat"), "-d", "-d", "-u", "FILE:r.jsonl", "TCP-LISTEN:0,bind=127.0.0.1"]
    with started(*command, errors=r"listening on .*:(\d+)") as port:
        async with open_records(f"tcp://127.0.0.1:{port}", **GIVEN) as records:
            assert await train(records) == expected


async def test_what_the_websockets_package_serves(expected: dict[str, bytes]) -> None:
    server = pytest.importorskip("websockets.trio.server")

    async def handle(connection: Any) -> None:  # noqa: ANN401
        for start in range(0, len(lines), 7):
            await connection.send(b"".join(lines[start : start + 7]).decode())
        await trio.sleep_forever()

    lines = DATA.splitlines(keepends=True)
    async with trio.open_nursery() as nursery:
        found = await nursery.start(partial(server.serve, handle, 0, host="127.0.0.1"))
        port = found.listeners[0].socket.getsockname()[1]
        async with open_records(f"ws://127.0.0.1:{port}/feed", **GIVEN) as records:
            assert await train(records) == expected
        nursery.cancel_scope.cancel()


async def test_events_of_an_asgi_server(folder: Path, expected: dict[str, bytes]) -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip("httpx2")
    (folder / "feed.py").write_text(APP.replace("PATH", repr(str(folder / "r.jsonl"))))
    command = [sys.executable, "-m", "uvicorn", "feed:app", "--port", "0"]
    with started(*command, errors=r"running on http://127\.0\.0\.1:(\d+)") as port:
        async with open_records(f"http://127.0.0.1:{port}/feed", **GIVEN) as records:
            assert await train(records) == expected


async def test_what_another_process_writes_to_a_log(folder: Path, expected: dict[str, bytes]) -> None:
    async with trio.open_nursery() as nursery, open_records("tail:log", **GIVEN) as records:
        nursery.start_soon(trio.run_process, ["sh", "-c", 'while read -r line; do echo "$line" >>log; done <r.jsonl'])
        assert await train(records) == expected
