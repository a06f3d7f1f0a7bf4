"""Whether the pages that were built hang together by themselves: no dead link, and nothing from another host."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["wrong_links"]

FETCHED = ("script", "link", "img", "iframe", "source")  # where a browser goes by itself


class _Page(HTMLParser):
    """The anchors of a page, and what it refers to: each with whether a browser fetches it by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src", "data") and value:
                self.links.append((value, tag in FETCHED))


def wrong_links(site: Path) -> list[str]:
    """A line for each link of the pages in `site` to a file or an anchor that is not there.

    And for each thing that a browser would fetch from another host; a link to one is not followed.
    """
    pages = {path.resolve(): _Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    wrong = []
    for path, page in pages.items():
        for link, fetched in page.links:
            parts = urlsplit(link)
            if parts.scheme == "data" or ((parts.scheme or parts.netloc) and not fetched):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if parts.scheme or parts.netloc:
                wrong.append(f"{path.relative_to(site.resolve())}: {link} is on another host")
            elif not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                wrong.append(f"{path.relative_to(site.resolve())}: {link} is not there")
    return wrong
