"""How Sphinx makes the documentation site; `make docs` builds it into build/docs."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # where `made` is

from made.pages import setup

__all__ = ["setup"]  # which Sphinx calls

project = "Recurrio"
release = version = version_of("recurrio")
extensions = ["myst_parser", "sphinx.ext.autodoc"]
smartquotes = False  # they make one dash of the two before an option
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!recurrio\.).*")]  # other libraries' documentation is not here

myst_heading_anchors = 3
highlight_language = "none"  # blocks without a language are pictures, equations and output
suppress_warnings = ["misc.highlighting_failure"]  # JSON in which … stands for more
default_role = "code"  # `name` in a docstring
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {name: name for name in ("Array", "Cache", "Caches", "DTypeLike", "Named")}
autodoc_preserve_defaults = True
maximum_signature_line_length = 90

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = f"Recurrio {release}"
html_copy_source = False
html_show_copyright = False
