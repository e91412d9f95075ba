"""Reads YAML as plain values, and remembers the line of each.

All scalars stay text, so that a keyword `off` or `2026` is what it looks like. Anchors and
aliases are refused: a few lines of them can expand to millions of values.
"""

from typing import Any

import yaml

Place = tuple[str | int, ...]
"""Where a value is: names and positions, from the top down."""


class YamlError(ValueError):
    """The text is not YAML, or more than plain values.

    Args:
        problem: what is wrong.
        line: where, from 1; None if it is unknown.
    """

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


def read_yaml(content: bytes) -> tuple[Any, dict[Place, int]]:
    """The values of one document, None if it is empty, and the line of each.

    Raises:
        YamlError: not UTF-8, not YAML, nested too deep, with aliases, or a name given twice.
    """
    reading = _Reading()
    try:
        text = content.decode("utf-8")
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        return (None if node is None else reading.plain(node, ())), reading.lines
    # Each library error has its line elsewhere, and some have none; the order is from the most
    # precise to the least.
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlError("is not UTF-8", line) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        # A keyword that begins with * is the likely cause, and YAML's words do not say so.
        hint = " (quote a text that begins with *)" if "alias" in problem else ""
        raise YamlError(f"is not YAML: {problem}{hint}", mark.line + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError("has a character that YAML does not allow", line) from error
    except yaml.YAMLError as error:
        raise YamlError(f"is not YAML: {error}", None) from error
    except RecursionError as error:
        raise YamlError("is nested too deep", None) from error


class _Reading:
    """One document on its way from nodes to values."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self._met: set[int] = set()

    def plain(self, node: yaml.Node, place: Place) -> Any:  # noqa: ANN401 - whatever is there
        line = node.start_mark.line + 1
        if id(node) in self._met:
            raise YamlError("an anchor (&) is referred to (*): expected the value itself", line)
        self._met.add(id(node))
        self.lines.setdefault(place, line)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*place, at)) for at, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        return node.value

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError("a name is a list or a mapping: expected a word", line)
            if key.value in values:
                raise YamlError(f"{key.value!r} is given twice", line)
            self.lines[(*place, key.value)] = line
            values[key.value] = self.plain(value, (*place, key.value))
        return values
