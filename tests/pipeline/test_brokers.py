"""What only one broker does: positions that are gone, groups, what is retained, fields, passwords, TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from support.brokers import Broker, Kafka, Mosquitto, Redis, running
from support.in_process import run_here
from support.live import connected, reading, until

from recurrio.core import Adam
from recurrio.pipeline import Trainer, open_records
from recurrio.pipeline.sources import SourceError, mqtt, open_transport
from recurrio.pipeline.sources.journal import Journal

SECRET = "S3cret-of-ours"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running("redis", tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running("mqtt", tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Broker]:
    with running("kafka", tmp_path / "kafka") as broker:
        yield broker


def lines(count: int, first: int = 0) -> list[bytes]:
    return [b'{"k":"a","x":%d}' % number for number in range(first, first + count)]


async def ask(redis: Broker, *words: str) -> str:
    """What redis-cli says."""
    done = await trio.run_process(["redis-cli", "-p", str(redis.port), *words], capture_stdout=True)
    return done.stdout.decode().strip()


async def numbers(address: str, count: int, **opening: object) -> tuple[list[float], dict[str, int]]:
    """The next so many, and what the transport has counted."""
    async with reading(address, **opening) as reader:
        found = (await reader.take(count)).records
        await trio.sleep(0.1)  # so that what is safe is said
        return [x for _, x in found], dict(reader.transport.counts)


# Redis.


async def test_entries_that_were_removed_unread_are_a_gap(redis: Broker, tmp_path: Path) -> None:
    """Fault 26."""
    address = redis.address("trimmed")
    await redis.fill("trimmed", lines(50))
    assert (await numbers(address, 50, journal=Journal(tmp_path)))[0] == [*range(50)]
    await redis.fill("trimmed", lines(50, 50))
    await ask(redis, "xtrim", "trimmed", "maxlen", "20")
    with pytest.raises(SourceError, match="30 entries behind"):
        await numbers(address, 70, journal=Journal(tmp_path))
    found, counts = await numbers(address, 70, journal=Journal(tmp_path), allow_gap=True)
    assert found == [*range(50), *range(80, 100)]
    assert counts["gaps"] == 30
    await ask(redis, "xtrim", "trimmed", "maxlen", "5")  # of what has come, which is no gap
    await redis.fill("trimmed", lines(3, 100))
    found, counts = await numbers(address, 73, journal=Journal(tmp_path))
    assert (found[70:], "gaps" in counts) == ([100, 101, 102], False)


async def test_a_slow_reader_notices_what_is_removed_meanwhile(redis: Broker) -> None:
    await redis.fill("short", lines(20_000))

    async def read() -> None:
        async with open_transport(redis.address("short")) as transport:
            await transport.receive()
            await trio.sleep(0.1)
            await ask(redis, "xtrim", "short", "maxlen", "10")
            while True:
                await transport.receive()

    with pytest.raises(SourceError, match="removed unread"), trio.fail_after(10):
        await read()


async def test_a_stream_that_is_begun_anew_is_a_gap(redis: Broker, tmp_path: Path) -> None:
    address = redis.address("anew")
    await redis.fill("anew", lines(10))
    await numbers(address, 10, journal=Journal(tmp_path))
    await ask(redis, "del", "anew")
    with pytest.raises(SourceError, match="begun anew"):
        await numbers(address, 11, journal=Journal(tmp_path))
    await ask(redis, "xadd", "anew", "1-1", "data", '{"k":"a","x":7}')
    found, counts = await numbers(address, 11, journal=Journal(tmp_path), allow_gap=True)
    assert (found[-1], counts["gaps"]) == (7, 1)


async def test_a_group_is_told_what_is_safe_and_goes_on_there(redis: Broker, kafka: Broker, tmp_path: Path) -> None:
    for broker in (redis, kafka):
        address = broker.address("grouped", "?group=us")
        how = {"partition": 0} if isinstance(broker, Kafka) else {}
        await broker.fill("grouped", lines(150), **how)  # type: ignore[call-arg]
        assert (await numbers(address, 150, journal=Journal(tmp_path / broker.program)))[0] == [*range(150)]
        await trio.sleep(0.3)
        await broker.fill("grouped", lines(20, 150), **how)  # type: ignore[call-arg]
        assert (await numbers(address, 20))[0] == [*range(150, 170)]  # with no journal, and so no position of its own
    assert "lag\n0" in await ask(redis, "xinfo", "groups", "grouped")


async def test_entries_of_several_fields_are_objects(redis: Broker) -> None:
    await ask(redis, "xadd", "fields", "*", "k", "a b", "x", "-1.5e1", "other", "")
    await ask(redis, "xadd", "fields", "*", "k", 'quo"te', "x", "high")
    await ask(redis, "xadd", "fields", "*", "k", "c", "x", "3")
    async with reading(redis.address("fields")) as reader:
        taken = await reader.take(2, 1)
    assert taken.records == [("a b", -15), ("c", 3)]
    async with reading(redis.address("fields", "?field=k")) as reader:
        assert len((await reader.take(0, 3)).rejects) == 3


async def test_from_the_end_only_what_is_new_comes(redis: Broker, kafka: Broker) -> None:
    for broker in (redis, kafka):
        await broker.fill("ended", lines(10))
        async with reading(broker.address("ended", "?from=end")) as reader:
            await connected(reader)
            await broker.fill("ended", lines(2, 10))
            assert sorted((await reader.take(2)).records) == [("a", 10), ("a", 11)]


# MQTT.


async def test_what_was_not_acknowledged_is_sent_again_and_dropped(
    mosquitto: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trainer that was killed between its journal and the broker."""
    address = mosquitto.address("dup", "?client=dup")
    await mosquitto.prepare("dup")
    await mosquitto.fill("dup", lines(40))
    with monkeypatch.context() as patch:
        patch.setattr(mqtt, "_acknowledge", lambda *_: None)
        await numbers(address, 40, journal=Journal(tmp_path))
    await mosquitto.fill("dup", lines(10, 40))
    found, counts = await numbers(address, 50, journal=Journal(tmp_path))
    assert found == [*range(50)]
    assert counts["duplicates"] == 40
    assert (await numbers(address, 50, journal=Journal(tmp_path)))[1]["duplicates"] == 0  # they are acknowledged


async def test_a_broker_that_forgets_the_client_is_a_gap(mosquitto: Broker, tmp_path: Path) -> None:
    address = mosquitto.address("forgotten", "?client=forgotten")
    await mosquitto.prepare("forgotten")
    await mosquitto.fill("forgotten", lines(10))
    await numbers(address, 10, journal=Journal(tmp_path))
    mosquitto.end()
    (mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
    mosquitto.start()
    with pytest.raises(SourceError, match="forgotten the client"):
        await numbers(address, 11, journal=Journal(tmp_path))
    async with reading(address, journal=Journal(tmp_path), allow_gap=True) as reader:
        await reader.take(10)
        assert await reader.nothing(0.1)
        await until(lambda: bool(reader.transport.counts.get("gaps")))
        await mosquitto.fill("forgotten", lines(1, 10))
        assert (await reader.take(1)).records == [("a", 10)]
        assert reader.transport.counts["gaps"] == 1


async def test_what_is_retained_comes_once(mosquitto: Broker, tmp_path: Path) -> None:
    words = ["mosquitto_pub", "-p", str(mosquitto.port), "-q", "1", "-r", "-t", "kept/one", "-m", '{"k":"a","x":1}']
    await trio.run_process(words)
    address = mosquitto.address("kept/%23", "?topic=where&client=retained")
    async with reading(address, journal=Journal(tmp_path)) as reader:
        assert (await reader.take(1)).records == [("a", 1)]
        await trio.sleep(0.1)
        await trio.to_thread.run_sync(mosquitto.disturb)
        await mosquitto.fill("kept/two", [b'{"k":"b","x":2}', b"{}"])
        taken = await reader.take(1, 1)
        assert taken.records == [("b", 2)]
        assert await reader.nothing()
        assert reader.transport.counts["retained"] == 1


async def test_the_topic_can_be_a_field(mosquitto: Broker) -> None:
    async with reading(mosquitto.address("rooms/+/t", "?topic=k")) as reader:
        await connected(reader)
        await mosquitto.fill("rooms/7/t", [b'{"x":3}'])
        assert (await reader.take(1)).records == [("rooms/7/t", 3)]


# Kafka.


async def test_an_offset_that_is_not_there_is_a_gap(kafka: Broker, tmp_path: Path) -> None:
    await kafka.fill("t", lines(30), partition=1)  # type: ignore[call-arg]
    assert (await numbers(kafka.address("t"), 30, journal=Journal(tmp_path / "j")))[0] == [*range(30)]
    kafka.end()
    kafka.start()  # another cluster, without any of it
    await kafka.fill("t", lines(5, 100), partition=1)  # type: ignore[call-arg]
    with pytest.raises(SourceError, match="partition 1 behind offset 30 are gone; --allow-gap"):
        await numbers(kafka.address("t"), 35, journal=Journal(tmp_path / "j"))
    found, counts = await numbers(kafka.address("t"), 35, journal=Journal(tmp_path / "j"), allow_gap=True)
    assert (found[30:], counts["gaps"]) == ([*range(100, 105)], 1)


async def test_the_order_of_partitions_is_repeated(kafka: Broker, tmp_path: Path) -> None:
    said = [b'{"k":"%d","x":%d}' % (number % 9, number) for number in range(500)]
    await kafka.fill("parts", said)
    first = (await numbers(kafka.address("parts"), 500, journal=Journal(tmp_path)))[0]
    assert (await numbers(kafka.address("parts"), 500, journal=Journal(tmp_path)))[0] == first
    assert sorted(first) == [*range(500)]


# All.


@pytest.mark.parametrize("name", ["redis", "mqtt", "kafka"])
async def test_the_ledger_adds_up_when_the_broker_goes_away(name: str, tmp_path: Path) -> None:
    with running(name, tmp_path / "broker") as broker:
        options = "?client=ledger" if isinstance(broker, Mosquitto) else ""
        await broker.prepare("ledger")
        given = {"features": "x", "target": "x@+1", "key": "k", "seq_len": 4, "batch_size": 6, "linger": 0.05}
        async with open_records(broker.address("ledger", options), **given) as records:
            trainer, came = Trainer(records.model(hidden_size=4), Adam(), executor="inline"), list[float]()
            records.on_forecasts = lambda forecast: came.extend([0.0] * len(forecast.values))

            async def send() -> None:
                for group in range(4):
                    await broker.fill("ledger", [b'{"k":"%d","x":%d}' % (x % 7, x) for x in range(100)])
                    with trio.fail_after(20):
                        await until(lambda group=group: records.report()["records"] == 100 * (group + 1))  # type: ignore[misc]
                    if group < 3:
                        await trio.to_thread.run_sync(broker.disturb)
                await trio.sleep(0.3)
                trainer.stop(1.0)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await trainer.run(records)
        report = records.report()
        assert report["records"] == 400
        assert report["applied"] + report["unlabelled"] + report["waiting"] == 400
        assert report["rejected"] == 0


def secured(folder: Path, words: list[str]) -> Redis:
    class Secured(Redis):
        def words(self) -> list[str]:
            return [*super().words(), *words]

    pytest.importorskip("coredis", reason="needs coredis")
    folder.mkdir()
    return Secured(folder)


RECORDS = ["--features", "x", "--target", "x@+1", "--steps", "4", "--batch-size", "1", "--seq-len", "4"]


def test_no_password_is_shown_anywhere(redis: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = secured(tmp_path / "redis", ["--requirepass", SECRET])
    broker.start()
    try:
        fill = ["redis-cli", "-p", str(broker.port), "-a", SECRET, "xadd", "in", "*", "x", "1"]
        for _ in range(40):
            subprocess.run(fill, check=True, capture_output=True)
        monkeypatch.chdir(tmp_path)
        with_password = broker.address("in").replace("://", f"://:{SECRET}@")
        out = broker.address("out").replace("://", f"://:{SECRET}@")
        written = ["--out", "run", "--reports", "reports", "--rejects", "rejects", "--trace", "trace"]
        good = run_here("train", with_password, *RECORDS, *written, "--predictions", out, "--verbose")
        assert good.code == 0, good.errors
        bad = [
            run_here("train", with_password.replace(SECRET, SECRET + "!"), *RECORDS, "--out", "bad"),
            run_here("train", with_password + "?nothing=1", *RECORDS, "--out", "bad2"),
            run_here("train", with_password, *RECORDS, "--out", "bad3", "--predictions", out.replace(":S3", ":wrong")),
            run_here("train", with_password, with_password, *RECORDS, "--out", "bad4"),
            run_here("train", f"ws://me:{SECRET}@[bad/", *RECORDS, "--out", "bad5"),
            run_here("train", f"http://me:{SECRET}@/", *RECORDS, "--out", "bad6"),
            run_here("train", f"amqp://me:{SECRET}@host/x", *RECORDS, "--out", "bad7"),
            run_here("check-leaks", with_password, *RECORDS[:4]),
            run_here("train", with_password, "--steps", "1", "--out", "bad8"),
        ]
        assert all(one.code for one in bad)
        said = "".join(one.output + one.errors for one in [good, *bad])
        monkeypatch.setenv("RECURRIO_REDIS_PASSWORD", SECRET)
        assert run_here("train", broker.address("in"), *RECORDS, "--out", "run", "--resume").code == 0  # the same run
        found = [path for path in tmp_path.rglob("*") if path.is_file() and "redis/" not in str(path)]
        assert len(found) >= 8
        assert SECRET not in said
        assert [path for path in found if SECRET.encode() in path.read_bytes()] == []
        assert SECRET[2:] not in said
    finally:
        broker.end()


def certificate(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which is not there")
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key -out cert -subj /CN=localhost"
    words += " -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(words.split(), cwd=folder, check=True, capture_output=True)


async def test_redis_and_mqtt_by_tls(redis: Broker, mosquitto: Broker, tmp_path: Path) -> None:
    certificate(tmp_path)
    key, cert = tmp_path / "key", tmp_path / "cert"

    class Encrypted(Redis):
        def words(self) -> list[str]:
            tls = ["--tls-port", str(self.port), "--tls-cert-file", str(cert), "--tls-key-file", str(key)]
            return [*super().words(), "--port", "0", *tls, "--tls-auth-clients", "no"]

    class EncryptedMqtt(Mosquitto):
        def words(self) -> list[str]:
            found = super().words()
            with (self.folder / "mosquitto.conf").open("a") as file:
                file.write(f"certfile {cert}\nkeyfile {key}\n")
            return found

    for make, scheme in ((Encrypted, "rediss"), (EncryptedMqtt, "mqtts")):
        folder = tmp_path / scheme
        folder.mkdir()
        broker = make(folder)
        broker.start()
        try:
            address = f"{scheme}://127.0.0.1:{broker.port}/t?ca={cert}"
            async with reading(address) as reader:
                await connected(reader)
                from recurrio.pipeline.sinks import open_sink

                async with open_sink(address) as sink:
                    sink.put([(None, line) for line in lines(200)])
                assert [x for _, x in (await reader.take(200)).records] == [*range(200)]
            async with reading(address.partition("?")[0]) as reader:
                assert await reader.nothing(0.1)
                await until(lambda reader=reader: bool(reader.said))  # type: ignore[misc]
                assert any("TLS: self-signed certificate" in text for text in reader.said), reader.said
        finally:
            broker.end()
