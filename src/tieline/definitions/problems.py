"""What is wrong with a definition: where, which key, and what to do about it. Knows nothing of the format itself."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tieline.core.errors import InvalidInput

MOST_PROBLEMS = 20
_SHOWN = 24
_COMPARED = 80
_NAME = 40
# Words of other formats, and what they are called here: the first that is known where the word stands.
_OTHER_WORDS = {
    "string": ("text",),
    "str": ("text",),
    "int": ("integer",),
    "float": ("number",),
    "bool": ("boolean",),
    "array": ("list",),
    "dict": ("object",),
    "map": ("object",),
    "binary": ("file",),
    "url": ("path", "base_url"),
    "uri": ("path", "base_url"),
    "endpoint": ("path", "base_url"),
    "server": ("base_url",),
    "servers": ("base_url",),
    "params": ("parameters",),
    "variable": ("variables",),
    "endpoints": ("calls",),
    "operations": ("calls",),
    "scopes": ("areas",),
    "permissions": ("areas",),
    "apikey": ("api_key",),
    "token": ("bearer",),
    "name": ("api",),
    "version": ("tieline",),
    "description": ("notes",),
    "summary": ("title",),
    "enum": ("choices",),
    "regex": ("pattern",),
    "verb": ("method",),
    "authentication": ("auth",),
    "authorization": ("auth",),
    "security": ("auth",),
    "credential": ("auth",),
    "credentials": ("auth",),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    ``line`` and ``column`` count from 1, and are 0 where the definition came as data, not text.

    ``path`` names the key, such as ``areas[2].levels``; it is empty for the definition as a whole. ``is_warning``: what
    can be, and is seldom meant.
    """

    line: int
    column: int
    path: str
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line else []
        where += [self.path] if self.path else []
        return f"{', '.join(where)}: {self.message}" if where else self.message


class DefinitionError(InvalidInput):
    """A definition that cannot be used, with every problem found, at most 20.

    The public text has one line a problem: ``line 12, areas[2].levles: unknown key "levles"; did you mean "levels"?``.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(str(problem) for problem in self.problems), param=self.problems[0].path if self.problems else None
        )


class Findings:
    """Collects problems in the order they are found, and gives up at the twentieth."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def __len__(self) -> int:
        return len(self._problems)

    def add(self, problem: Problem) -> None:
        """Note ``problem``; raises DefinitionError when there are enough of them to be told at once."""
        self._problems.append(problem)
        if len(self._problems) >= MOST_PROBLEMS:
            self.settle()

    def settle(self) -> None:
        """Raise DefinitionError if any problem was found, in the order of the text."""
        if self._problems:
            raise DefinitionError(sorted(self._problems, key=lambda problem: (problem.line, problem.column)))


def shown(text: str) -> str:
    """``text`` in quotes as an error may show it: see ``cut``."""
    return f'"{cut(text)}"'


def cut(text: str) -> str:
    """``text`` as an error may show it: cut where it is long, since a secret may stand in the wrong place."""
    beginning = text if len(text) <= _SHOWN else text[: _SHOWN // 3] + "…"
    return "".join(letter if letter.isprintable() else "�" for letter in beginning)


def join(*names: str) -> str:
    """A path of keys and list places, such as ``areas[2].levels``; a name too long for a key is cut."""
    path = ""
    for name in names:
        dot = "." if path and name and not name.startswith("[") else ""
        path += dot + (name if len(name) <= _NAME else name[: _SHOWN // 3] + "…")
    return path


def suggestion(given: str, known: Iterable[str]) -> str:
    """``; did you mean "levels"?`` where a known word is close, else the words to choose from."""
    words = list(known)
    if any(not letter.isprintable() for letter in given):
        return "; it holds a character that cannot be seen, such as a no-break space; type it anew"
    if given.startswith("//"):
        return '; a comment begins with "#"'
    if given.partition(":")[0] in words:
        return '; a blank is missing after the ":"' if not given.endswith(":") else '; one ":" is enough'
    meant = (given.lower(), *_OTHER_WORDS.get(given.lower(), ()))
    same = next((word for one in meant for word in words if word.lower() == one), None)
    if same is not None:
        return f'; did you mean "{same}"?'
    close = difflib.get_close_matches(given, words, n=1, cutoff=0.6) if len(given) <= _COMPARED else []
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; choose from {', '.join(words)}" if words else ""


def in_form(given: str, is_name: Callable[[str], bool]) -> str:
    """``; write it like my_api`` where a name in another fashion, such as ``myApi``, can be brought to the rule."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-\s]+", "_", given).lower() if len(given) <= _COMPARED else ""
    return f"; write it like {snake}" if is_name(snake) else ""
