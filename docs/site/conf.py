"""The documentation site: the repository's own pages, and a reference made of the docstrings.

The source folder is the repository itself, so that links between pages hold here as they do in
any viewer of Markdown. Built by ``make docs``, without network. The notebooks are run for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gtn_fast

ROOT = Path(__file__).resolve().parents[2]

project = "gtn_fast"
author = "The gtn_fast authors"
copyright = author
version = release = gtn_fast.__version__
language = "en"

extensions = [
    "myst_nb",  # myst_parser, and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/**.md",
    "examples/*.ipynb",
    "csrc/README.md",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
]

# Tables that a benchmark wrote have no title; the pages that speak of them link to them.
suppress_warnings = ["toc.not_included"]

# A notebook has no outputs of its own; one that fails is an error of the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_output_stderr = "remove"  # warnings, with the paths of whoever built it

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_links_external_new_tab = True

napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "imported-members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
add_module_names = False

templates_path = [str(Path(__file__).parent / "templates")]
html_theme = "furo"
html_title = "gtn_fast"
html_static_path: list[str] = []
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
# A visitor comes to the top; the start page lies beside the others.
html_additional_pages = {"index": "to_start.html"}


def as_plain_text(
    _app: Any, what: str, _name: str, _of: Any, _options: Any, lines: list[str]
) -> None:
    """Let a docstring mean what it says: only sections, lists, examples and ``code`` are markup.

    Elsewhere * and | are a product and a norm. A module's docstring is a map: it stays as it is.
    """
    if what == "module":
        lines[1:] = ["", "::", "", *(f"    {line}" for line in lines[1:])]
        return
    literal = False  # inside a block after "::", or among examples
    for i, line in enumerate(lines):
        if line and not line.startswith(" "):
            literal = line == "Examples"
        if not literal and not line.lstrip().startswith(("*", ">>>")):
            spans = re.split(r"(``.*?``)", line)
            spans[::2] = [re.sub(r"([*|])", r"\\\1", span) for span in spans[::2]]
            lines[i] = "".join(spans)
        literal = literal or line.endswith("::")


def setup(app: Any) -> None:
    """Read docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", as_plain_text, priority=100)
