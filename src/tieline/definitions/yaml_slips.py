"""What somebody who wrote a text probably meant, where the YAML library can only say what it did not expect."""

import re
from typing import Any

_QUOTED_FIRST = "@`%*&"
_UNSPACED = re.compile(r"\s*(?:- )?[\w.-]+:[^\s:]")
_NO_FIT = 'this line does not fit what stands above it; write "key: value", as far in as its neighbours'


def explain(error: Any, text: str) -> tuple[str, int, int]:
    """What to write instead, and the line and column (from 1) of the slip; for a ``yaml.MarkedYAMLError``."""
    problem = str(error.problem or error.context or "it is not finished")
    mark, begin = error.problem_mark or error.context_mark, error.context_mark or error.problem_mark
    lines = text.splitlines()
    here = _at(mark)
    line = _line(lines, mark)
    told = _of_a_text(problem, str(error.context))
    if told:
        return told, *(here if "escape" in told else _at(begin))
    if "cannot start any token" in problem or "expected node content" in problem:
        return (_cannot_start(line[here[1] - 1 : here[1]], line), *here)
    if "alphabetic or numeric" in problem:  # `* /path` was read as an alias, `& x` as an anchor
        return (_cannot_start(_line(lines, begin)[begin.column : begin.column + 1], line), *_at(begin))
    if "mapping values are not allowed" in problem:
        return (_colon(line, mark.column), *here)
    if "',' or '}'" in problem or "',' or ']'" in problem:
        opened, closed = ("{", "}") if "}" in problem else ("[", "]")
        other = "" if begin is mark else f', or "," before line {here[0]}, column {here[1]}'
        return f'a "{opened}" begins here and is not closed; write "{closed}" where it ends{other}', *_at(begin)
    if "could not find expected ':'" in problem:
        return (_no_colon(_line(lines, begin)), *_at(begin))
    if "expected key" in problem or "block end" in problem or "document start" in problem:
        return (_no_fit(line, here[1] - 1), *here)
    return f"this is not valid YAML: {problem}", *here


def _of_a_text(problem: str, context: str) -> str:
    """What is wrong with a text in quotes or a block, empty for another problem."""
    if "escape character" in problem or "hexdecimal" in problem:
        return 'a "\\" in double quotes begins an escape; write it twice, or put the text in single quotes'
    if "quoted scalar" in context:
        return "a text in quotes begins here and is not closed; write the same quote where it ends"
    if "comment or line break" in problem:
        return 'after "|" or ">" the text begins on the next line, further in; or put it in quotes'
    return ""


def _line(lines: list[str], mark: Any) -> str:
    return lines[mark.line] if mark is not None and mark.line < len(lines) else ""


def _at(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)


def _cannot_start(character: str, line: str) -> str:
    if not character:
        return "the file ends here, and what was opened is not closed; close it"
    if character == "\t":
        return "a tab stands here; YAML is indented with blanks"
    if line.startswith("```"):
        return "this line is Markdown, not YAML; remove the lines that begin with ```"
    if character in _QUOTED_FIRST:
        return f'a text that begins with "{character}" is written in quotes'
    return "no text can begin with this character; write it in quotes"


def _no_colon(line: str) -> str:
    if _UNSPACED.match(line):
        return 'a blank is missing after the ":"; write "key: value"'
    if "=" in line:
        return 'this is no "key: value"; write ": " in place of "="'
    return _NO_FIT


def _no_fit(line: str, column: int) -> str:
    before, after = line[max(0, column - 1) : column], line[column : column + 1]
    if before and before in "'\"":
        return (
            "a text in quotes ends before this, and more follows; put a text with such quotes in it in the other ones"
        )
    if after and after in "}]":
        return f'this "{after}" closes nothing; remove it'
    return _NO_FIT


def _colon(line: str, column: int) -> str:
    if ":" in line[:column]:
        return 'a text with ": " in it is written in quotes, such as title: "List: all"'
    return "this line is further in than what stands above it; begin it where its neighbours begin"
