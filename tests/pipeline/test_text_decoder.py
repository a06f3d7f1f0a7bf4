"""Bytes to text: any encoding, cut anywhere; marks; and what is plainly something else."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding import TextDecoder, check_encoding
from recurrio.pipeline.sources import Chunk

UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "gb18030")
TEXTS = dict.fromkeys(UNICODE, "漢字🙂 é\n")
TEXTS |= dict.fromkeys(("big5", "hz"), "床前 abc\n")
TEXTS |= dict.fromkeys(("shift_jis", "euc_jp", "iso2022_jp"), "日本語 abc カナ\n")
TEXTS |= dict.fromkeys(("ascii", "cp037"), "plain abc\n") | dict.fromkeys(("latin-1", "cp1252"), "déjà vu\n")
TEXTS |= {"iso2022_kr": "한국어 abc\n", "koi8-r": "привет abc\n"}
ENCODINGS = list(TEXTS)


def chunk(data: bytes) -> Chunk:
    return Chunk(data, "book", {})


def decode(encoding: str, parts: list[bytes]) -> tuple[str, str]:
    """What comes out, and the error that ends it."""
    decoder, text = TextDecoder(encoding), ""
    try:
        for part in parts:
            text += decoder.feed(chunk(part))
        return text + decoder.finish(), ""
    except SourceError as error:
        return text, str(error)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_every_encoding_is_decoded_wherever_it_is_cut(encoding: str, size: int) -> None:
    text = TEXTS[encoding] * 9
    data = text.encode(encoding)
    assert decode(encoding, [data[at : at + size] for at in range(0, len(data), size)]) == (text, "")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_it_goes_on_from_what_it_has_dumped(encoding: str) -> None:
    text = TEXTS[encoding] * 3
    data = text.encode(encoding)
    for place in range(len(data)):
        decoder, again = TextDecoder(encoding), TextDecoder(encoding)
        before = decoder.feed(chunk(data[:place]))
        again.load(json.loads(json.dumps(dict(decoder.dump()))))
        assert before + again.feed(chunk(data[place:])) + again.finish() == text


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=5), st.sampled_from(ENCODINGS))
def test_what_comes_out_before_an_error_does_not_depend_on_the_cuts(
    data: bytes, places: list[int], encoding: str
) -> None:
    assume(not encoding.startswith("iso2022"))  # whose codecs in Python find the same fault sooner or later
    whole = decode(encoding, [data])
    assert decode(encoding, cut(data, places)) == whole
    assert decode(encoding, [data[at : at + 1] for at in range(len(data))]) == whole


@given(st.binary(max_size=40))
def test_utf8_is_what_python_says_it_is(data: bytes) -> None:
    text, error = decode("utf-8", [b"text: " + data])
    try:
        expected, fault = (b"text: " + data).decode("utf-8"), None
    except UnicodeDecodeError as problem:
        fault = problem.start
        expected = (b"text: " + data)[:fault].decode("utf-8")
    assert text == expected
    assert (f"at offset {fault} is not UTF-8" in error) if fault is not None else not error


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "gb18030"])
@pytest.mark.parametrize("size", [1, 1000])
def test_a_byte_order_mark_is_no_symbol(encoding: str, size: int) -> None:
    data = b"" if "".encode(encoding) else "\ufeff".encode(encoding)
    data += "ab\ufeff".encode(encoding)
    assert decode(encoding, [data[at : at + size] for at in range(0, len(data), size)]) == ("ab\ufeff", "")


OTHERS = {
    "gzip": (gzip.compress(b"text" * 9), "compressed by gzip, not text in utf-8; use zcat FILE | recurrio train -"),
    "bzip2": (bz2.compress(b"text" * 9), "compressed by bzip2, not text in utf-8; use bzcat FILE"),
    "xz": (lzma.compress(b"text" * 9), "compressed by xz, not text in utf-8; use xzcat FILE"),
    "zip": (b"PK\x03\x04\x14", "a zip archive"),
    "UTF-16 with a mark": ("text".encode("utf-16"), "UTF-16, not text in utf-8; use --encoding utf-16"),
    "big UTF-16": (codecs.BOM_UTF16_BE + "text".encode("utf-16-be"), "use --encoding utf-16"),
    "UTF-16 without": (("text " * 4).encode("utf-16-le"), "use --encoding utf-16-le"),
    "big UTF-16 without": (("text " * 4).encode("utf-16-be"), "use --encoding utf-16-be"),
    "UTF-32": ("text".encode("utf-32"), "UTF-32, not text in utf-8; use --encoding utf-32"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_plainly_something_else_is_named(name: str, size: int) -> None:
    data, message = OTHERS[name]
    text, error = decode("utf-8", [data[at : at + size] for at in range(0, len(data), size)])
    assert text == ""
    assert error.startswith("book: this is ")
    assert message in error


@pytest.mark.parametrize("text", ["BZ", "P", "PKs are dogs", "a\0b", "", "\ufffd", "ab" * 20])
def test_text_that_begins_nearly_so_is_text(text: str) -> None:
    data = text.encode()
    assert decode("utf-8", [data]) == decode("utf-8", [data[at : at + 1] for at in range(len(data))]) == (text, "")


def test_utf16_that_does_not_say_its_order() -> None:
    text, error = decode("utf-16", ["ab".encode("utf-16-le")])
    assert text == ""
    assert error == "book: no byte-order mark at the start, so use --encoding utf-16-le or utf-16-be"


def test_an_error_names_the_encoding() -> None:
    text, error = decode("ascii", [b"ab", b"c\xe9"])
    assert text == "abc"
    assert error == "book: byte 0xe9 at offset 3 is not ascii; --vocabulary bytes takes any file"


@pytest.mark.parametrize("encoding", ["none", "zlib", "rot13", "", "a\0b", 7, None])
def test_what_is_no_encoding_of_text(encoding: str) -> None:
    with pytest.raises(ValueError, match="encoding: expected a text encoding"):
        check_encoding(encoding)


def test_long_text_in_a_hundred_pieces() -> None:
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abc déf\ng漢字🙂"), 5000))
    assert decode("utf-8", cut(text.encode(), rng.integers(0, 20_000, 100).tolist())) == (text, "")
