"""Look at the site that ``make docs`` built: links, public names, nothing from elsewhere.

    python tools/check_site.py build/site

What would need the network to be shown (scripts, styles, fonts, pictures) is an error; a link to
another site is not looked at.
"""

from __future__ import annotations

import html.parser
import importlib
import sys
import urllib.parse
from pathlib import Path

from sphinx.util.inventory import InventoryFile

MODULES = ("", ".learn", ".images", ".metrics", ".plots", ".reference")
_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
_NOT_LOADED = {"canonical", "search", "index", "next", "prev", "author", "copyright"}


class Page(html.parser.HTMLParser):
    """The ids of a page, its links, and what a browser loads to show it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what the tag refers to."""
        found = {name: value for name, value in attributes if value}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag in _LOADED and _LOADED[tag] in found and found.get("rel") not in _NOT_LOADED:
            self.loaded.append(found[_LOADED[tag]])


def problems(site: Path) -> list[str]:
    """Return what is wrong, a line for each."""
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    found = [] if pages else [f"{site}: holds no page"]
    for path, page in sorted(pages.items()):
        name = path.relative_to(site.resolve())
        for link in page.links + page.loaded:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if link in page.loaded:
                    found.append(f"{name}: loads {link}")
                continue
            target = path if not parts.path else (path.parent / urllib.parse.unquote(parts.path))
            target = target.resolve()
            if not target.exists():
                found.append(f"{name}: {link} leads nowhere")
                continue
            place = urllib.parse.unquote(parts.fragment)
            if place and target in pages and place not in pages[target].ids:
                found.append(f"{name}: {link} names no place")
    return found + [f"no page describes {each}" for each in undescribed(site)]


def undescribed(site: Path) -> list[str]:
    """Return the public names that the site's index of objects lacks."""
    with (site / "objects.inv").open("rb") as stream:
        inventory = InventoryFile.load(stream, "", lambda a, b: f"{a}{b}")
    found = getattr(inventory, "data", inventory)  # a dictionary, up to Sphinx 8.2
    known = {name for kind, names in found.items() if kind.startswith("py:") for name in names}
    missing = []
    for suffix in MODULES:
        module = importlib.import_module(f"gtn_fast{suffix}")
        for name in module.__all__:
            if not callable(getattr(module, name)):
                continue  # a constant: the page shows the module's own words
            places = {f"gtn_fast{suffix}.{name}", f"gtn_fast.learn.{name}"}
            if not places & known:
                missing.append(f"gtn_fast{suffix}.{name}")
    return missing


if __name__ == "__main__":
    lines = problems(Path(sys.argv[1]))
    print("\n".join(lines) or "the site is whole")
    sys.exit(bool(lines))
