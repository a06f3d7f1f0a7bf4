"""Who may ask a run that is served."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

pytest.importorskip("h11", reason="needs recurrio[serve]")
pytest.importorskip("prometheus_client", reason="needs recurrio[serve]")

from support.asking import Client, Run
from support.streams import make_data

from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline.serving.server import find_token, serve

SECRET = "a secret of more than 16"


async def test_who_may_ask() -> None:
    rows = make_data(50, 3)

    async def with_token(client: Client) -> None:
        basic = base64.b64encode(f"anybody:{SECRET}".encode()).decode()
        for given, status in (
            ("", 401),
            ("Bearer wrong", 401),
            ("Basic !!!", 401),
            ("Bearer " + SECRET[:-1], 401),
            ("Bearer ä", 401),
            (f"Bearer {SECRET}", 200),
            (f"bearer  {SECRET}", 200),
            (f"Basic {basic}", 200),
        ):
            assert (await client.raw("GET", "/status", Authorization=given))[0] == status, given
        assert (await client.raw("GET", "/healthz"))[0] == 200
        assert (await client.raw("GET", "/status", Host="other.example", Authorization=f"Bearer {SECRET}"))[0] == 200

    async def without(client: Client) -> None:
        for host, status in (
            ("localhost", 200),
            ("127.0.0.1:8080", 200),
            ("[::1]:80", 200),
            ("evil.example", 421),
            ("evil.example:80", 421),
            ("", 421),
        ):
            assert (await client.raw("GET", "/status", Host=host))[0] == status, host

    await Run(rows, pause=0.002).go(with_token, token=SECRET)
    await Run(rows, pause=0.002).go(without)
    with pytest.raises(ArgumentError, match="token"):
        await serve(Run(rows).trainer, address="0.0.0.0:0")
    with pytest.raises(ArgumentError, match="host:port"):
        await serve(Run(rows).trainer, address="nonsense")


def test_where_the_token_is(tmp_path: Path) -> None:
    path = tmp_path / "a token"
    path.write_text(SECRET + "\n")
    assert find_token(str(path), {}) == SECRET
    assert find_token(None, {"RECURRIO_TOKEN": SECRET}) == SECRET
    assert find_token(None, {}) is None
    for short in ("short", "", "with a\tcontrol character"):
        with pytest.raises(ArgumentError):
            find_token(None, {"RECURRIO_TOKEN": short})
    with pytest.raises(OSError, match="nobody"):
        find_token(str(tmp_path / "nobody"), {})
