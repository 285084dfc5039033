"""The one who answers: an echo-ish assistant, the same for equal input. Knows no endpoint and no wire format."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from tieline.sandbox.shapes import fit
from tieline.sandbox.words import pieces

_LONGEST_ARGUMENT = 200  # characters of the user's words in a tool's argument
_EVERYWHERE = {"get", "set", "the", "and", "for", "list", "find", "make", "tool", "function", "new", "call"}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function (with a schema for its arguments) or, where ``schema`` is None, a custom tool that takes text."""

    name: str
    schema: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Turn:
    """What the assistant is asked: the last words, who said them, and how it may answer.

    ``choice`` is ``auto``, ``none``, ``required`` or a tool's name; ``shape`` is a schema, or True for any JSON object;
    ``limit`` is in tokens; ``tokens`` asks for a made-up text of that length.
    """

    text: str
    said_by: Literal["user", "tool"] = "user"
    tools: tuple[Tool, ...] = ()
    choice: str = "auto"
    shape: Mapping[str, Any] | Literal[True] | None = None
    limit: int | None = None
    stop: tuple[str, ...] = ()
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool: ``given`` is JSON for a function and plain text for a custom tool."""

    name: str
    given: str
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer as tokens, or a call; ``finish`` says why it ended."""

    tokens: list[str] = field(default_factory=list)
    finish: Literal["stop", "length", "tool_calls"] = "stop"
    call: Call | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.tokens)

    @property
    def length(self) -> int:
        """How many tokens the answer is."""
        return len(pieces(self.call.given)) + 8 if self.call else len(self.tokens)


def answer(turn: Turn, number: int = 0) -> Reply:
    """The assistant's answer; ``number`` tells the choices of one request apart."""
    tool = _called(turn)
    if tool:
        words = turn.text[:_LONGEST_ARGUMENT]
        given = words if tool.schema is None else orjson.dumps(fit(tool.schema, words)).decode()
        return Reply(finish="tool_calls", call=Call(tool.name, given, custom=tool.schema is None))
    if turn.tokens is not None:
        tokens = [f" w{index}" for index in range(turn.tokens)]
    else:
        tokens = pieces(_stopped(_text(turn, number), turn.stop))
    if turn.limit is not None and len(tokens) > turn.limit:
        return Reply(tokens[: turn.limit], "length")
    return Reply(tokens)


def _text(turn: Turn, number: int) -> str:
    if turn.shape is True:
        return orjson.dumps({"answer": turn.text}).decode()
    if turn.shape is not None:
        return orjson.dumps(fit(turn.shape, turn.text)).decode()
    said = f"The tool answered: {turn.text}" if turn.said_by == "tool" else f"You said: {turn.text}"
    return said if number == 0 else f"[{number + 1}] {said}"


def _stopped(text: str, stop: tuple[str, ...]) -> str:
    ends = [text.index(mark) for mark in stop if mark and mark in text]
    return text[: min(ends)] if ends else text


def _called(turn: Turn) -> Tool | None:
    """The tool to call: the one named or required; with ``auto``, one whose name shares a word with the text."""
    if not turn.tools or turn.choice == "none":
        return None
    if turn.choice == "required":
        return turn.tools[0]
    if turn.choice != "auto":
        return next((tool for tool in turn.tools if tool.name == turn.choice), None)
    if turn.said_by == "tool":
        return None
    said = set(re.findall(r"\w{3,}", turn.text.lower()))
    for tool in turn.tools:
        name = set(re.findall(r"[a-z]{3,}", re.sub(r"([A-Z])", r" \1", tool.name).lower())) - _EVERYWHERE
        if name & said or tool.name.lower() in said:
            return tool
    return None
