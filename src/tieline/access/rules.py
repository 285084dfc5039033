"""Areas as a definition states them, and the short text form of the rules that say which operations belong to one."""

import re
from dataclasses import dataclass

from tieline.access.levels import Level
from tieline.access.paths import check, normal
from tieline.core.errors import InvalidRequest

NEVER_ALLOWED = frozenset({b"TRACE", b"CONNECT"})
"""Methods that no key may use: one echoes the credential back, the other asks for a tunnel."""

_SHOWN = 40
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_WILD = re.compile(r"(?:\*|\{[A-Za-z][A-Za-z0-9_-]*\})(?::[A-Za-z0-9_.~-]+)?")
_PARTS = re.compile(r"(?P<methods>\S+)\s+(?P<pattern>\S+?)(?:\s*=\s*(?P<level>\S+))?")


@dataclass(frozen=True, slots=True)
class Rule:
    """Operations by method and path pattern. ``methods`` None means any; ``level`` None means what the method implies.

    In a pattern ``*`` or ``{name}`` stands for exactly one segment, and a ``*`` at the end for one or more; ``*:verb``
    for one segment that ends in this verb, as in ``/models/*:generateContent``.
    """

    methods: frozenset[str] | None
    pattern: str
    level: Level | None

    def __str__(self) -> str:
        """The text that ``parse_rule`` reads back."""
        methods = "*" if self.methods is None else ",".join(sorted(self.methods))
        level = "" if self.level is None else f" = {self.level}"
        return f"{methods} {self.pattern}{level}"


@dataclass(frozen=True, slots=True)
class Area:
    """A named group of an API's operations. A parent has no levels and no rules; its children name it in ``parent``."""

    name: str
    title: str
    levels: tuple[Level, ...]
    parent: str | None
    rules: tuple[Rule, ...]

    @property
    def is_parent(self) -> bool:
        """Whether this only groups other areas."""
        return not self.levels


def parse_rule(text: str) -> Rule:
    """The rule that ``text`` states: ``* /chat/completions/*``, ``GET,HEAD /files``, ``POST /stores/*/search = read``.

    Raises:
        ValueError: it is no such rule; the text says what is wrong and what to write.
    """
    parts = _PARTS.fullmatch(text.strip())
    if parts is None:
        rules = '"GET,HEAD /files" or "POST /stores/*/search = read"'
        msg = f'"{_cut(text)}" is no rule. Write METHODS PATH, such as {rules}.'
        raise ValueError(msg)
    return Rule(
        methods=_parse_methods(parts["methods"]),
        pattern=_parse_pattern(parts["pattern"]),
        level=_parse_level(parts["level"]),
    )


def _cut(text: str) -> str:
    """The beginning of what cannot be read at all: it may be a secret in the wrong place."""
    return text if len(text) <= _SHOWN else text[: _SHOWN // 3] + "…"


def _parse_methods(text: str) -> frozenset[str] | None:
    if text == "*":
        return None
    names = text.split(",")
    for name in names:
        if _METHOD.fullmatch(name) is None:
            msg = f'"{name}" is no method. Write methods in capitals with commas and no spaces, or * for any.'
            raise ValueError(msg)
        if name.encode() in NEVER_ALLOWED:
            msg = f"{name} is never passed on, so no rule can name it. Leave it out."
            raise ValueError(msg)
    if len(set(names)) < len(names):
        msg = f'"{text}" names a method twice. Name each once.'
        raise ValueError(msg)
    return frozenset(names)


def _parse_pattern(text: str) -> str:
    try:
        check(text.encode())
    except InvalidRequest as error:
        msg = f'"{text}" is no path pattern. {error.public}'
        raise ValueError(msg) from error
    plain = normal(text.encode()).decode()
    if plain != text or (text.endswith("/") and text != "/"):
        msg = f'"{text}" is not written plainly. Write "{plain.rstrip("/") or "/"}".'
        raise ValueError(msg)
    for segment in text[1:].split("/"):
        if _WILD.fullmatch(segment) is None and not {"*", "{", "}"}.isdisjoint(segment):
            msg = f'"{segment}" in "{text}": * and {{name}} stand for a whole segment. Write /*, /{{name}} or /*:verb.'
            raise ValueError(msg)
    return text


def _parse_level(text: str | None) -> Level | None:
    if text is None:
        return None
    try:
        level = Level(text)
    except ValueError:
        level = Level.NONE
    if level is Level.NONE:
        msg = f'"{text}" is no level. Write read, write or request.'
        raise ValueError(msg)
    return level
