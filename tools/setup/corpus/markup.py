"""The running text of an HTML page."""
from html.parser import HTMLParser

BREAKS = {"p", "blockquote", "li", "ul", "ol", "div", "td", "tr", "table", "br", "hr", "dd", "dt", "body"}
LEFT_OUT = {"head", "script", "style", "h1", "h2", "h3", "h4", "h5", "pre"}


class Paragraphs(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.parts, self.left_out = [], [], 0

    def finish(self):
        text = "".join(self.parts).strip()
        if text:
            self.found.append(text)
        self.parts = []

    def handle_starttag(self, tag, attributes):
        if tag in LEFT_OUT:
            self.finish()
            self.left_out += 1
        elif tag in BREAKS:
            self.finish()

    def handle_endtag(self, tag):
        if tag in LEFT_OUT:
            self.left_out = max(0, self.left_out - 1)
        elif tag in BREAKS:
            self.finish()

    def handle_data(self, data):
        if not self.left_out:
            self.parts.append(data)


def paragraphs(page):
    """The paragraphs of a page in order, without its headings; spaces and line ends are as they were."""
    parser = Paragraphs()
    parser.feed(page)
    parser.close()
    parser.finish()
    return parser.found
