"""What somebody who wrote a text probably meant, where the YAML library can only say what it did not expect."""

from typing import Any

_QUOTED_FIRST = "@`%"


def explain(error: Any, text: str) -> tuple[str, int, int]:
    """What to write instead, and the line and column (from 1) of the slip; for a ``yaml.MarkedYAMLError``."""
    problem = str(error.problem or error.context or "it is not finished")
    mark, begin = error.problem_mark or error.context_mark, error.context_mark or error.problem_mark
    lines = text.splitlines()
    here = _at(mark)
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if "cannot start any token" in problem and mark is not None:
        return (_cannot_start(line[mark.column : mark.column + 1]), *here)
    if "mapping values are not allowed" in problem and mark is not None:
        return (_colon(line, mark.column), *here)
    if "',' or '}'" in problem or "',' or ']'" in problem:
        opened, closed = ("{", "}") if "}" in problem else ("[", "]")
        return f'a "{opened}" begins here and is not closed; write "{closed}" where it ends', *_at(begin)
    if "quoted scalar" in str(error.context):
        return "a text in quotes begins here and is not closed; write the same quote where it ends", *_at(begin)
    if "expected key" in problem or "block end" in problem or "could not find expected ':'" in problem:
        return ('this line does not fit what stands above it; write "key: value", as far in as its neighbours', *here)
    return f"this is not valid YAML: {problem}", *here


def _at(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)


def _cannot_start(character: str) -> str:
    if character == "\t":
        return "a tab stands here; YAML is indented with blanks"
    if character and character in _QUOTED_FIRST:
        return f'a text that begins with "{character}" is written in quotes'
    return "no text can begin with this character; write it in quotes"


def _colon(line: str, column: int) -> str:
    if ":" in line[:column]:
        return 'a text with ": " in it is written in quotes, such as title: "List: all"'
    return "this line is further in than what stands above it; begin it where its neighbours begin"
