"""The files of checkpoints: torn, flipped, hostile, without a field; always the newest whole one, or a typed error."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.states import differing

from recurrio.core import Adam, SequenceModel
from recurrio.core.base.state import Part
from recurrio.pipeline import Trainer
from recurrio.pipeline.checkpoint import CheckpointError, Checkpoints, CheckpointStore
from recurrio.pipeline.checkpoint.file import EMPTY, FORMAT, read_checkpoint, write_checkpoint

SMALL = Part({"a": np.arange(5, dtype=np.float32), "b": np.array([[1, 2]], np.int64)}, {"step": 3, "x": [1, None, "é"]})
PARTS = {"step": 1, "tokens": 0, "settings": {}, "outputs": {}, "reports": None, "fingerprint": {}, "model": {}}
PARTS |= {"training": {}, "source": {}}


def whole(step: int) -> Part:
    return Part({"a": np.full(3, step)}, {**PARTS, "step": step})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.safetensors"
    write_checkpoint(path, SMALL)
    return path


def test_what_is_written_is_read_and_written_again_the_same(file: Path, tmp_path: Path) -> None:
    part = read_checkpoint(file)
    assert differing(part, SMALL) == []
    assert all(array.flags.writeable for array in part.arrays.values())
    write_checkpoint(tmp_path / "again", part)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_cut_off_anywhere_it_is_refused(file: Path) -> None:
    data = file.read_bytes()
    for length in range(len(data)):
        file.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=str(file)):
            read_checkpoint(file)
    file.write_bytes(data + b"\0")
    with pytest.raises(CheckpointError, match=str(file)):
        read_checkpoint(file)


def test_every_bit_that_is_flipped_is_noticed(file: Path) -> None:
    data = file.read_bytes()
    for place in range(len(data)):
        for bit in range(8):
            file.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            with pytest.raises(CheckpointError, match=str(file)):
                read_checkpoint(file)


def test_the_newest_whole_one_wins(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "states", keep=4)
    for step in (10, 20, 30, 40, 50):
        store.write(step, whole(step))
    assert store.steps() == [20, 30, 40, 50]
    rng = random.Random(1)
    for bad in ([50], [50, 40], [40], [50, 40, 30]):
        saved = {step: store.path(step).read_bytes() for step in bad}
        for step, data in saved.items():
            at = rng.randrange(len(data))
            store.path(step).write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
        found = store.newest()
        assert found is not None
        assert found.step == max({20, 30, 40, 50} - {*bad})
        newer = [step for step in sorted(bad, reverse=True) if step > found.step]
        assert all(str(store.path(step)) in line for step, line in zip(newer, found.rejected, strict=True))
        for step, data in saved.items():
            store.path(step).write_bytes(data)


def test_where_none_is_whole_each_is_named(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    assert store.newest() is None
    for step in (1, 2):
        store.write(step, whole(step))
        store.path(step).write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="no whole checkpoint") as error:
        store.newest()
    assert all(str(store.path(step)) in str(error.value) for step in (1, 2))


def test_subsets_of_what_was_not_synced(tmp_path: Path) -> None:
    """After a loss of power the newest file may be there in part, under its name or another, and pages are zeros."""
    store, rng = CheckpointStore(tmp_path / "states"), random.Random(1)
    store.write(1, whole(1))
    write_checkpoint(tmp_path / "newer", whole(2))
    data = (tmp_path / "newer").read_bytes()
    for _ in range(5000):
        torn = bytearray(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.5 else data)
        for _ in range(rng.randrange(4)):
            start = rng.randrange(len(torn) + 1)
            torn[start : start + 64] = bytes(len(torn[start : start + 64]))
        name = store.path(2) if rng.random() < 0.8 else store.folder / ".step-000000002.safetensors.01234567"
        name.write_bytes(torn)
        found = store.newest()
        assert found is not None
        assert found.step == (2 if name == store.path(2) and bytes(torn) == data else 1)
        name.unlink()
    (store.folder / ".step-000000002.safetensors.01234567").touch()
    store.tidy()
    assert os.listdir(store.folder) == ["step-000000001.safetensors"]


def test_no_link_is_followed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "states")
    write_checkpoint(tmp_path / "elsewhere", whole(1))
    store.folder.mkdir()
    store.path(1).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="symbolic"):
        store.newest()
    (tmp_path / "link").symlink_to(store.folder)
    linked = CheckpointStore(tmp_path / "link")
    assert linked.steps() == []
    with pytest.raises(OSError, match="is no folder of its own"):
        linked.write(1, whole(1))


def signed(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """A file with a right digest, whatever its header says."""
    data = (len(header) if length is None else length).to_bytes(8, "little") + header + body
    digest = hashlib.sha256(data).hexdigest().encode()
    return data.replace(f'"sha256":"{EMPTY}"'.encode(), b'"sha256":"' + digest + b'"', 1)


def header(entries: dict[str, Any], about: str = "{}", **metadata: Any) -> bytes:  # noqa: ANN401
    own = {"format": FORMAT, "about": about, "sha256": EMPTY, **metadata}
    return json.dumps({"__metadata__": own, **entries}, separators=(",", ":")).encode()


def entry(shape: Any, begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:  # noqa: ANN401
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a header of 2^63 bytes": signed(header({}), length=1 << 63),
    "a header of 2^64 - 1 bytes": signed(header({}), length=(1 << 64) - 1),
    "a header of 99 MB that is not there": signed(header({}), length=99 << 20),
    "no JSON": signed(b'"sha256":"' + EMPTY.encode() + b'"{{{{'),
    "deep JSON": signed(b'{"sha256":"' + EMPTY.encode() + b'","a":' + b"[" * 100_000),
    "deep JSON inside": signed(header({}, "[" * 100_000)),
    "a list": signed(b'["sha256":"' + EMPTY.encode() + b'"]'),
    "another format": signed(header({}, format="recurrio-text-1")),
    "about a list": signed(header({}, "[]")),
    "about nothing": signed(header({}, "")),
    "metadata that is none": signed(b'{"__metadata__":[],"sha256":"' + EMPTY.encode() + b'"}'),
    "an array of 2^60 numbers": signed(header({"a": entry([1 << 60], 0, 1 << 62)})),
    "an array of 2^40 × 2^40": signed(header({"a": entry([1 << 40, 1 << 40], 0, 4)}), b"1234"),
    "a shape below 0": signed(header({"a": entry([-1], 0, 4)}), b"1234"),
    "a shape of floats": signed(header({"a": entry([1.0], 0, 4)}), b"1234"),
    "a shape of bools": signed(header({"a": entry([True], 0, 4)}), b"1234"),
    "overlapping arrays": signed(header({"a": entry([2], 0, 8), "b": entry([1], 4, 8)}), b"12345678"),
    "an array outside": signed(header({"a": entry([2], 0, 8)}), b"1234"),
    "an array before the start": signed(header({"a": entry([1], -4, 0)}), b"1234"),
    "a hole": signed(header({"a": entry([1], 4, 8)}), b"12345678"),
    "bytes of nobody": signed(header({"a": entry([1], 0, 4)}), b"12345678"),
    "a dtype of objects": signed(header({"a": entry([1], 0, 8, "O")}), b"12345678"),
    "a dtype that is a list": signed(header({"a": entry([1], 0, 4, ["F32"])}), b"1234"),
    "offsets that are none": signed(header({"a": {"dtype": "F32", "shape": [1], "data_offsets": "04"}}), b"1234"),
    "an entry that is none": signed(header({"a": 3})),
    "names that are paths": signed(header({"../../etc/passwd": entry([1], 0, 8)}), b"1234"),
    "a pickle": b"\x80\x04cos\nsystem\n(S'touch /tmp/owned'\ntR.",
    "a zip": b"PK\x03\x04" + bytes(1000),
}
CHECK = """
import resource, sys
from recurrio.pipeline.checkpoint.file import CheckpointError, read_checkpoint
limit = 1 << 30
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        assert path in str(error), error
    else:
        raise SystemExit(f"{path}: was taken")
with open("/proc/self/status") as status:  # getrusage has the peak of the process that has started this one
    print(next(line for line in status if line.startswith("VmHWM")).split()[1])
"""


def test_hostile_files_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    paths = []
    for number, (name, data) in enumerate(HOSTILE.items()):
        path = tmp_path / f"{number} {name.replace('/', '-')}"
        path.write_bytes(data)
        paths.append(str(path))
    huge = tmp_path / "huge"
    with huge.open("wb") as sparse:
        sparse.write(signed(header({"a": entry([1 << 36], 0, 1 << 38)})))
        sparse.truncate(1 << 38)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, *paths, str(huge)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 400_000  # KiB
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 1 << 30
    assert len(paths) >= 25


def test_damaged_files_of_all_kinds(file: Path) -> None:
    """Damage with a right digest: anything may come of it but another error than this one."""
    data, rng = file.read_bytes(), random.Random(2)
    length = int.from_bytes(data[:8], "little")
    clean = read_checkpoint(file)
    for _ in range(int(os.environ.get("RECURRIO_FUZZED", "1000"))):
        head = bytearray(data[8 : 8 + length])
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(head))
            head[at] = rng.choice(b'0123456789{}[]",:abxFI-.\\') if rng.random() < 0.8 else rng.randrange(256)
        text = bytes(head)
        start = text.find(b'"sha256":"')
        if start >= 0:
            text = text[: start + 10] + EMPTY.encode() + text[start + 74 :]
        file.write_bytes(signed(text, data[8 + length :]))
        try:
            part = read_checkpoint(file)
        except CheckpointError:
            continue
        assert set(map(type, part.arrays.values())) <= {type(clean.arrays["a"])}


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(SequenceModel(input_size=2, output_size=1, hidden_size=4, seed=1), Adam(0.01))
    store = CheckpointStore(tmp_path)
    store.write(1, Part({}, {**PARTS, "training": {"applied": 1}, "source": {"position": 0}}))

    class Own:
        def __iter__(self) -> Own:
            return self

        def position(self) -> int:
            return 0

        def rewind(self, position: int) -> None:
            pass

    with pytest.raises(CheckpointError, match="of another run, or damaged"):
        trainer.resume(Checkpoints(tmp_path), Own())  # type: ignore[arg-type]
