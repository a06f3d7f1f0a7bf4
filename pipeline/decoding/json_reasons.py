"""Why a line is no record of JSON, and the way out. It need not be fast: such lines are few."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from .values import shown

__all__ = ["reason_against"]

ONE = "one object a line is expected"
HALF = re.compile(r"\\u[dD][89a-fA-F]")
CONSTANTS = ("NaN", "Infinity", "-Infinity")
PARTS = re.compile(rb'[\s\]}{,]*|"[^"]*"\s*:.*', re.DOTALL)  # what an object over several lines is made of


class _Constant:
    """In the place of a token that is no JSON."""

    def __init__(self, token: str) -> None:
        self.token = token


def reason_against(line: bytes, names: Iterable[str], error: Exception) -> str:
    """The reason against `line`, which is no object of JSON; `error` is what the decoder says. `names` are declared."""
    inner = line.strip()
    if isinstance(error, RecursionError):
        return "the line is nested too deeply"
    if inner.startswith(b"\xef\xbb\xbf"):
        return "a byte-order mark, which is data but at the start of a file"
    if inner.startswith(b"["):
        return f"an array, where {ONE} (jq -c '.[]' makes that of an array)"
    try:
        text = inner.decode()
    except UnicodeDecodeError as fault:
        return f"not UTF-8: byte 0x{inner[fault.start]:02x} at {fault.start + 1}"
    return _parsed(text, names) or _broken(inner, error)


def _parsed(text: str, names: Iterable[str]) -> str | None:
    """What a reader finds that lets more pass."""
    reader = json.JSONDecoder(parse_constant=_Constant, parse_int=str, parse_float=str, strict=False)
    try:
        value, end = reader.raw_decode(text)
    except RecursionError:
        return "the line is nested too deeply"
    except ValueError:
        return None
    rest = text[end:].strip()
    if isinstance(value, dict) and rest.lstrip(",").lstrip().startswith("{"):
        return f"two objects on a line, where {ONE} (jq -c . writes them so)"
    if not isinstance(value, dict):
        return None if rest else f"no object, where {ONE}, got {shown(text)}"
    if rest:
        return f"text behind the object, where {ONE}, got {shown(rest)}"
    constant = next(((name, v) for name, v in _leaves(value, names) if isinstance(v, _Constant)), None)
    if constant is not None:
        name, found = constant
        return f"{shown(name)}: expected a number, got {found.token}, which is no JSON (null is missing)"
    if any(token in text for token in CONSTANTS) and (token := _somewhere(value)) is not None:
        return f"{token}, which is no JSON (null is missing)"
    if HALF.search(text):
        return "half a character, written with \\u"
    return None


def _leaves(value: dict[str, object], names: Iterable[str]) -> list[tuple[str, object]]:
    """The values of the fields `names`, and then those of all others, with their names."""
    found: list[tuple[str, object]] = []
    for name in names:
        inner: object = value
        if name in value:
            inner = value[name]
        else:
            for part in name.split("."):
                inner = inner.get(part) if isinstance(inner, dict) else None
        found.append((name, inner))
    return [*found, *value.items()]


def _somewhere(value: object) -> str | None:
    """The token that is no JSON, anywhere inside."""
    todo = [value]
    while todo:
        inner = todo.pop()
        if isinstance(inner, _Constant):
            return inner.token
        todo += inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else []
    return None


def _broken(line: bytes, error: Exception) -> str:
    says = str(error).removeprefix("JSON is malformed: ")
    if says == "Input data was truncated" and line.startswith(b"{"):
        return f"the object does not end on its line (if it goes over several: jq -c . writes {ONE.split(' is')[0]})"
    if not line.startswith(b"{") and PARTS.fullmatch(line):
        return f"no object, where {ONE} (if one goes over several lines: jq -c . writes it on one)"
    if not line.startswith(b"{"):
        return f"no object, where {ONE}, got {shown(line.decode())}"
    return f"malformed JSON: {shown(says, 80)}"
