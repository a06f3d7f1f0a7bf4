"""What happens to live sources in the field: producers that vanish, raw blocks in a log, garbage at every door."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from support.live import line, port_in, port_of, reading, until

from recurrio.core import Adam
from recurrio.pipeline import Trainer, open_records
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.lanes.forecast import Forecast
from recurrio.pipeline.sources import listen

GARBAGE = [b"GET / HTTP/1.1\r\n\r\n\r\n", b"\x16\x03\x01\x02\n\0\1\n\3\n\n", b"\xff\xfe{\x00}\x00\n\x00", bytes(3000)]


async def test_producers_that_vanish_come_back_under_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """They say no goodbye: their connections stay open, are probed by the system, and keep nobody out."""
    probed: list[tuple[int, int]] = []
    original = listen.keep_alive

    def keep_alive(sock: trio.socket.SocketType) -> None:
        original(sock)
        after = sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", socket.TCP_NODELAY))
        probed.append((sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), after))

    monkeypatch.setattr(listen, "keep_alive", keep_alive)
    said, came = list[str](), list[tuple[str, float]]()

    def note(forecast: Forecast) -> None:
        assert forecast.keys is not None
        came.extend(zip(forecast.keys, forecast.values[:, 0].tolist(), strict=True))

    given: dict[str, Any] = {"features": "x", "target": "x@+1", "key": "k", "seq_len": 2, "on_forecasts": note}
    async with open_records("tcp-listen://127.0.0.1:0", on_notice=said.append, **given) as records:
        trainer = Trainer(records.model(hidden_size=4, seed=1), Adam(0.01), executor="inline")
        async with trio.open_nursery() as nursery:

            async def produce() -> None:
                vanished = []
                for times in (1, 2):
                    for number in range(64):
                        stream = await trio.open_tcp_stream("127.0.0.1", port_in(said[0]))
                        await stream.send_all(line(f"device {number}", 100 * number + times))
                        vanished.append(stream)  # it is never closed
                    await until(lambda times=times: len(came) == 64 * times)  # type: ignore[misc]
                trainer.stop(1.0)
                for stream in vanished:
                    await stream.aclose()

            nursery.start_soon(produce)
            await trainer.run(records)
        report = records.report()
    assert (report["keys"], report["rejected"], report["records"]) == (64, 0, 128)
    assert report["metrics"]["all"]["naive_mae"] == 1.0  # each goes on where it was
    assert [on for on, _ in probed] == [1] * 128
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert {after for _, after in probed} == {60}


async def test_raw_blocks_in_a_log_wait_for_their_rest(tmp_path: Path) -> None:
    rows = np.arange(2000, dtype="<f4").reshape(1000, 2)
    rows[10, 0], rows[20, 1] = np.nan, np.inf
    last = np.array([7, 8], "<f4").tobytes()
    log = tmp_path / "log"
    log.write_bytes(rows.tobytes() + last[:3])
    given: dict[str, Any] = {"features": "x,y", "target": "x@+1", "format": "raw"}
    async with open_records(f"tail:{log}", **given, options=RecordOptions(dtype="x:f4,y:f4")) as records:
        trainer = Trainer(records.model(hidden_size=4, seed=1), Adam(0.01), executor="inline")
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                await until(lambda: records.report()["records"] == 1000)
                await trio.sleep(0.15)
                assert records.report()["records"] == 1000  # and not one of three bytes
                with log.open("ab") as file:
                    file.write(last[3:])
                await until(lambda: records.report()["records"] == 1001)
                trainer.stop(1.0)

            nursery.start_soon(write)
            await trainer.run(records)
        report = records.report()
    assert report["rejected"] == 1  # the infinite one
    assert report["missing"] == {"x": pytest.approx(1 / 1000)}


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_at_a_unix_socket_is_hung_up_on(data: bytes, short: Path) -> None:
    async with reading("unix:s") as reader:
        async with await trio.open_unix_socket("s") as stream:
            with trio.fail_after(5):
                await stream.send_all(data)
                await stream.send_eof()
        async with await trio.open_unix_socket("s") as stream:
            await stream.send_all(line("a", 1))
        assert (await reader.take(1)).records == [("a", 1.0)]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_in_datagrams_costs_itself(data: bytes) -> None:
    async with reading("udp-listen://127.0.0.1:0") as reader:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            for message in (line("a", 1), data, line("a", 2)):
                await sock.sendto(message, ("127.0.0.1", port_of(reader)))
        assert (await reader.take(2)).records == [("a", 1.0), ("a", 2.0)]
