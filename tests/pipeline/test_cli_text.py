"""The command and the text it is given: encodings, bytes, what is no text, vocabularies, unknown symbols."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest
from support.command import without_notice
from support.forking import run_forked

from recurrio.core import ByteVocabulary, CharVocabulary, TextModel

SMALL = ["--hidden", "16", "--embedding", "8", "--batch-size", "4", "--seq-len", "16", "--executor", "inline"]
FRENCH = "Où êtes-vous allé déjà ? À l’école.\n".replace("’", "'") * 120


def recurrio(*arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    words = [str(argument) for argument in arguments]
    code, output, errors = run_forked(words, data)
    return subprocess.CompletedProcess(words, code, output, without_notice(errors))


def test_bytes_are_written_as_bytes(tmp_path: Path) -> None:
    path, out = tmp_path / "latin.txt", tmp_path / "out"
    path.write_bytes(FRENCH.encode("latin-1"))
    done = recurrio("train", path, *SMALL, "--steps", 200, "--lr", 0.02, "--vocabulary", "bytes", "--out", out)
    assert (done.returncode, done.stderr) == (0, b"")
    written = recurrio("generate", out, "--length", 300, "--temperature", 0.3, "--prompt", "Où")
    assert (written.returncode, written.stderr) == (0, b"")
    assert written.stdout.startswith("Où".encode())
    assert written.stdout.endswith(b"\n")
    assert len(written.stdout) == len("Où".encode()) + 300 + 1
    assert b"\xef\xbf\xbd" not in written.stdout
    assert b"\xe9" in written.stdout.replace("Où".encode(), b"")


def test_bytes_of_a_known_encoding_are_written_as_text(tmp_path: Path) -> None:
    path, out = tmp_path / "latin.txt", tmp_path / "out"
    path.write_bytes(FRENCH.encode("latin-1"))
    options = ["--steps", 200, "--lr", 0.02, "--vocabulary", "bytes", "--encoding", "latin-1"]
    assert recurrio("train", path, *SMALL, *options, "--out", out).returncode == 0
    vocabulary = TextModel.load(out / "model.safetensors").vocabulary
    assert isinstance(vocabulary, ByteVocabulary)
    assert vocabulary.encoding == "latin-1"
    written = recurrio("generate", out, "--length", 300, "--temperature", 0.3, "--prompt", "Où")
    assert written.returncode == 0
    text = written.stdout.decode("utf-8")
    assert text.startswith("Où")
    assert "é" in text
    assert len(text) == 2 + 300 + 1


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-be"])
def test_text_of_any_encoding_gives_the_weights_of_its_characters(encoding: str, tmp_path: Path) -> None:
    weights = []
    for name, data in (("utf-8", FRENCH.encode()), (encoding, FRENCH.encode(encoding))):
        path, out = tmp_path / f"{name}.txt", tmp_path / name
        path.write_bytes(data)
        done = recurrio("train", path, *SMALL, "--steps", 5, "--encoding", name, "--out", out)
        assert (done.returncode, done.stderr) == (0, b"")
        model = TextModel.load(out / "model.safetensors")
        assert isinstance(model.vocabulary, CharVocabulary)
        assert set(model.vocabulary.characters[1:]) == set(FRENCH)
        weights.append(model.model.parameters.tobytes())
    assert weights[0] == weights[1]


BAD = {
    "gzip": (
        gzip.compress(FRENCH.encode()),
        [],
        1,
        "compressed by gzip, not text in utf-8; use zcat FILE | recurrio train -",
    ),
    "UTF-16": (FRENCH.encode("utf-16"), [], 1, "this is UTF-16, not text in utf-8; use --encoding utf-16"),
    "latin-1": (
        FRENCH.encode("latin-1"),
        [],
        1,
        "byte 0xf9 at offset 1 is not UTF-8; --vocabulary bytes takes any file, --encoding latin-1",
    ),
    "no encoding": (b"", ["--encoding", "none"], 2, "encoding: expected a text encoding of Python's"),
    "no vocabulary": (FRENCH.encode(), ["--vocabulary", "none.txt"], 1, "none.txt: No such file or directory"),
    "no model": (FRENCH.encode(), ["--vocabulary", "a.safetensors"], 1, "a.safetensors: not a safetensors file"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("source", ["text", "-"])
def test_what_is_no_text_gets_one_line_that_says_what_to_do(
    case: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, options, code, message = BAD[case]
    Path("text").write_bytes(data)
    Path("a.safetensors").write_bytes(b"no weights")
    done = recurrio("train", source, *SMALL, *options, data=data)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert message in done.stderr.decode()


CHINESE = "".join(map(chr, range(0x4E00, 0x4E00 + 900)))


def test_unknown_symbols_are_counted_and_said_once(tmp_path: Path) -> None:
    out, data = tmp_path / "out", (CHINESE[:100] * 4 + CHINESE).encode()
    done = recurrio("train", "-", *SMALL, "--json", "--out", out, data=data)
    assert done.returncode == 0
    unknown = [json.loads(line)["unknown"] for line in done.stdout.splitlines()]
    text = CHINESE[:100] * 4 + CHINESE
    known = set(text[:65])
    assert unknown == [sum(one not in known for one in text[: 64 * step]) for step in range(1, len(unknown) + 1)]
    said = [line for line in done.stderr.decode().splitlines() if "none of the vocabulary" in line]
    assert len(said) == 2
    assert "warning: 27.3% of the symbols so far are none of the vocabulary; --vocabulary FILE" in said[0]
    assert said[1].startswith("done: ")
    assert f"; {unknown[-1]} symbols are none of the vocabulary" in said[1]


def test_below_one_in_a_hundred_nothing_is_said_before_the_end(tmp_path: Path) -> None:
    text = ("abcdefgh" * 200) + "é" + ("abcdefgh" * 20)
    done = recurrio("train", "-", *SMALL, "--out", tmp_path / "out", data=text.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"warning" not in done.stdout
    assert "; 1 symbols are none of the vocabulary" in done.stdout.decode()


def test_a_vocabulary_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    words = ["--vocabulary", tmp_path / "empty.txt", "--out", tmp_path / "out"]
    done = recurrio("train", "-", *SMALL, *words, data=b"ab" * 99)
    assert done.returncode == 1
    assert b"empty.txt: has no characters to make a vocabulary of" in done.stderr


@pytest.mark.parametrize("kind", ["text", "model", "run"])
def test_a_vocabulary_is_given_beforehand(kind: str, tmp_path: Path) -> None:
    (tmp_path / "characters.txt").write_bytes(("\ufeff" + CHINESE).encode())
    given = tmp_path / "characters.txt"
    if kind != "text":
        done = recurrio("train", given, *SMALL, "--steps", 1, "--out", tmp_path / "before")
        assert done.returncode == 0
        given = tmp_path / "before" / ("model.safetensors" if kind == "model" else "")
    out = tmp_path / "out"
    done = recurrio("train", "-", *SMALL, "--json", "--vocabulary", given, "--out", out, data=CHINESE.encode())
    assert done.returncode == 0
    assert [json.loads(line)["unknown"] for line in done.stdout.splitlines()] == [0] * 14
    assert b"none of the vocabulary" not in done.stderr
    vocabulary = TextModel.load(out / "model.safetensors").vocabulary
    assert isinstance(vocabulary, CharVocabulary)
    assert vocabulary.characters == "\ufffd" + CHINESE
