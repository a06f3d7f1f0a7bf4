"""The relative links in Markdown, as GitHub shows it: the file is there, and the heading."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
CODE = re.compile(r"^(```+).*?^\1$|(`+).+?\2", re.DOTALL | re.MULTILINE)


def plain(path: Path) -> str:
    """The text without code, in which a bracket is no link, and # no heading."""
    return CODE.sub(lambda found: "" if found[1] else found[0].replace("](", "]\\("), path.read_text("utf-8"))


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", plain(path), re.MULTILINE):
        words = re.sub(r"\[(.+?)\]\(.+?\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = 0
        while (name := f"{anchor}-{count}" if count else anchor) in found:
            count += 1
        found.add(name)
    return found


def dead(path: Path) -> list[str]:
    """The links of the page that lead nowhere, but for those to other hosts."""
    found = []
    for link in re.findall(r"\]\(\s*([^()\s]+)\s*\)", plain(path)):
        name, _, anchor = link.partition("#")
        target = path.parent / unquote(name) if name else path
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_is_dead(path: Path) -> None:
    assert dead(path) == []


@pytest.mark.quick
def test_all_pages_have_been_looked_at_and_most_links_have_been_found() -> None:
    assert len(PAGES) > 50
    assert sum(plain(path).count("](") for path in PAGES) > 60
    assert anchors(ROOT / "README.md") >= {"how-it-works", "a-run"}


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# What is, and `x`?\n[1](#what-is-and-x) [2](page.md#what-is-and-x) [3](https://x.org/y) ![4](page.md)\n"
        "[5](none.md) [6](#none) [7\nto](page.md#none)\n`[8](none.md)`\n```sh\n# None\n[9](none.md)\n```\n"
    )
    assert dead(page) == ["none.md", "#none", "page.md#none"]
