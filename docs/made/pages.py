"""What is added to pages as they are read, where types in signatures lead, and what must hold of the site."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.util import logging
from sphinx.util.nodes import make_refnode

from .api import GROUPS, api_text, is_to_be_skipped, shorten
from .commands import commands_text
from .links import wrong_links

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement  # type: ignore[import-untyped] # it has none
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

EXAMPLE = re.compile(r"\]\(\.\./examples/(\w+)/README\.md\)")  # which is a page here

MADE: dict[str, Callable[[], str]] = {
    "commands": commands_text,
    **{f"api/{name.rpartition('.')[2]}": partial(api_text, name) for name in GROUPS},
    "decisions/README": lambda: "\n```{toctree}\n:glob:\n\n*\n```\n",
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what is here to the build."""
    app.connect("source-read", _add)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", is_to_be_skipped)
    app.connect("missing-reference", _find)
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True}


def _add(_: Sphinx, page: str, source: list[str]) -> None:
    source[0] = EXAMPLE.sub(r"](examples/\1.md)", source[0])
    if page in MADE:
        source[0] += MADE[page]()


def _check(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for line in wrong_links(Path(app.outdir)):
            logging.getLogger(__name__).warning(line)


def _find(app: Sphinx, env: BuildEnvironment, reference: pending_xref, text: TextElement) -> Element | None:
    """The types in signatures are named by the module that they are in, and documented where they are exported.

    What is exported nowhere is plain text.
    """
    target = reference.get("reftarget", "")
    if reference.get("refdomain") != "py" or not target.startswith("recurrio."):
        return None
    documented = env.domains.python_domain.objects
    for name in (f"{module}.{target.rpartition('.')[2]}" for module in GROUPS):
        if name in documented:
            return make_refnode(app.builder, reference["refdoc"], documented[name].docname, name, text)
    return text
