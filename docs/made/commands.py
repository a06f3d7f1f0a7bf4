"""The commands and their options, in Markdown, from the parser itself."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from recurrio.pipeline.command.options import make_parser

__all__ = ["commands_text"]


def commands_text() -> str:
    """A section for each command, in it one for each group of options.

    A group that an earlier command has with the same options is named there, with a link.
    """
    (commands,) = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    helps = {choice.dest: choice.help for choice in commands._get_subactions()}
    seen: dict[str, str] = {}
    return "\n".join(part for name, parser in commands.choices.items() for part in _command(parser, helps[name], seen))


def _command(parser: argparse.ArgumentParser, help_: str | None, seen: dict[str, str]) -> Iterator[str]:
    words = [parser.prog, *(_word(action) for action in parser._actions if not action.option_strings)]
    if len(parser._actions) > len(words):  # of which the first is --help
        words.append("[OPTION …]")
    yield f"\n## {parser.prog}\n\n{_begin(_plain(help_ or ''))}.\n"
    yield f"```\n{' '.join(words)}\n```\n\n```{{program}} {parser.prog}\n```\n"
    again = []
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        options = "\n".join(_option(parser, action) for action in actions)
        if options in seen:
            again.append(seen[options])
        elif actions and group.title in ("positional arguments", "options"):  # argparse's own groups
            yield options
        elif actions:
            anchor = f"{parser.prog} {group.title}".replace(" ", "-")
            seen[options] = f"[{group.title}](#{anchor})"
            yield f"({anchor})=\n### {_begin(str(group.title))}\n\n{options}"
    if again:
        yield f"\nAnd these, which are those of `recurrio train`: {', '.join(again)}.\n"


def _word(action: argparse.Action) -> str:
    return f"{action.metavar} [{action.metavar} …]" if action.nargs == "+" else str(action.metavar)


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """The option with what it takes, and its help."""
    takes = action.metavar or "|".join(action.choices or ())
    names = ", ".join(f"{name} {takes}".strip() for name in action.option_strings) or _word(action)
    return f"```{{option}} {names}\n{_plain(parser._get_formatter()._expand_help(action))}\n```\n"


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """No character of the text is Markdown, but options are set as code."""
    return re.sub(r"(?<![\w-])--[a-z-]+", r"`\g<0>`", re.sub(r"([\\`*_<>\[\]{}$])", r"\\\1", text))
