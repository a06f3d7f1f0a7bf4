"""Options from a TOML file, by their names."""

from __future__ import annotations

import tomllib

__all__ = ["words_of"]


def words_of(path: str) -> list[str]:
    """The words of the command line that the file at `path` stands for; true is an option without a value.

    Raises OSError, and ValueError where it is no TOML, or has a table in it.
    """
    with open(path, "rb") as file:
        options = tomllib.load(file)
    words: list[str] = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, dict):
            raise ValueError(f"{name}: expected a value, got a table")
        if value is True:
            words.append(option)
        elif value is not False:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words.append(f"{option}={text}")
    return words
