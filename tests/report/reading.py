"""Reads a page as a browser's parser would: elements with their attributes and text, tables as rows of cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "hr", "img", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str) -> list[Element]:
        inner = [child for child in self.children if isinstance(child, Element)]
        return [found for child in inner for found in ([child] if child.tag == tag else []) + child.all(tag)]

    def every(self) -> list[Element]:
        inner = [child for child in self.children if isinstance(child, Element)]
        return [self, *(found for child in inner for found in child.every())]

    def by_id(self, name: str) -> Element:
        return next(element for element in self.every() if element.attributes.get("id") == name)

    def by_class(self, name: str) -> list[Element]:
        return [element for element in self.every() if name in (element.attributes.get("class") or "").split()]

    def rows(self) -> list[list[str]]:
        """The cells of every body row of the tables within."""
        return [[cell.text for cell in row.all("td")] for row in self.all("tr") if row.all("td")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stack = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.stack[-1].children.append(element)
        if tag not in _VOID:
            self.stack.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)


def parse(html: str) -> Element:
    """Return the page; AssertionError where an element is not closed by its own end tag."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert [element.tag for element in reader.stack] == ["page"]
    return reader.stack[0]
