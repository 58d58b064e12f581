"""Pages that the command line writes, as the tests read them."""

from __future__ import annotations

import html.parser


class Page(html.parser.HTMLParser):
    """Tags that are opened and not closed, what is loaded from elsewhere, and the words."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.words, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "line"):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href")]

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())
