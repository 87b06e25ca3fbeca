"""XML as a small tree whose elements know their lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat


@dataclass(slots=True)
class Element:
    """An element without its attributes. Fields: line: where it begins, from 1."""

    tag: str
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> Iterator[Element]:
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Element | None:
        return next(self.all(tag), None)

    def word(self, tag: str) -> str:
        """The text of the first child of that name, trimmed; empty without one."""
        found = self.first(tag)
        return found.text.strip() if found else ""


class XmlError(Exception):
    """Not well-formed. Fields: line: where."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


def parse_xml(content: bytes) -> Element:
    """The root element.

    Raises:
        XmlError: not well-formed, or with entities of its own, which may grow without bound.
    """
    parser = expat.ParserCreate()
    root = Element("", 0)
    stack = [root]

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def characters(text: str) -> None:
        stack[-1].text += text

    def entity(*declaration: object) -> None:
        raise XmlError("declares entities", parser.CurrentLineNumber)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: stack.pop()
    parser.CharacterDataHandler = characters
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise XmlError(f"is no XML: {expat.ErrorString(error.code)}", error.lineno) from error
    except (LookupError, ValueError) as error:  # of its encoding
        raise XmlError(f"is no XML: {error}", 1) from error
    return root.children[0]
