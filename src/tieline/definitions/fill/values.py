"""A call's parameters as values: what the caller gave, the server fixed, or the definition sets by default; checked.

A value is what JSON can say (text, whole number, Decimal or float, flag, None, list, dict) or a ``FilePart``. Errors
name the parameter and never show its value. Knows no template.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, Final

from tieline.core.errors import CredentialMissing, InvalidParameter, MissingParameter
from tieline.core.secret import Secret
from tieline.definitions.calls import PARAMETER_TYPES
from tieline.definitions.fill.json_text import UnwritableError, read_json, scalar_text, write_json
from tieline.definitions.fill.pattern import Pattern
from tieline.definitions.fill.request import FilePart
from tieline.definitions.model import Call, Parameter
from tieline.definitions.problems import cut, shown, suggestion

_PLAIN = 2**63
_BLANKABLE = frozenset({"text", "date", "datetime"})
_NOT_BLANK_TEXT = frozenset({"number", "integer", "boolean", "date", "datetime"})


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT


def invalid(name: str, what: str) -> InvalidParameter:
    """The refusal of a parameter's value; ``what`` completes ``The parameter x …``."""
    return InvalidParameter(f"The parameter {name} {what}.", param=name)


@dataclass(frozen=True, slots=True, eq=False)
class ParameterRule:
    """What a parameter's value must be. ``default`` is ABSENT where there is none; ``choices`` empty where all go.

    ``plain`` is ``str`` where every ASCII text fits, so that nothing has to be asked.
    """

    name: str
    kind: str
    check: Callable[[Any], str]
    private: bool
    optional: bool
    blank: bool
    raw: bool
    default: Any
    choices: frozenset[Any]
    pattern: Pattern | None
    plain: type | None

    def read(self, given: Any) -> Any:
        """``given``, if it is a value of this parameter; raises InvalidParameter."""
        problem = self.check(given)
        if problem:
            raise invalid(self.name, problem)
        if self.choices and given != "":
            self._check_choice(given)
        if self.pattern is not None and given:
            self._check_pattern(self.pattern, given)
        return given

    def _check_choice(self, given: Any) -> None:
        try:
            fits = comparable(given) in self.choices
        except (UnwritableError, RecursionError):
            fits = False
        if not fits:
            raise invalid(self.name, "is not one of its choices; see the call's definition for them")

    def _check_pattern(self, pattern: Pattern, given: str) -> None:
        if len(given) > pattern.most:
            raise invalid(self.name, f"is longer than {pattern.most:,} characters, the most its pattern takes")
        if not pattern.matches(given):
            raise invalid(self.name, "does not match its pattern; see the call's definition for it")


def rule(name: str, parameter: Parameter) -> ParameterRule:
    """The rule of a parameter; raises ValueError for a pattern that cannot be matched in bounded time."""
    return ParameterRule(
        name=name,
        kind=parameter.type,
        check=_CHECKS[parameter.type],
        private=parameter.private,
        optional=parameter.optional,
        blank=parameter.allow_blank or parameter.type not in _BLANKABLE,
        raw=parameter.raw,
        default=ABSENT if parameter.default is None else parameter.default,
        choices=frozenset(comparable(choice) for choice in parameter.choices),
        pattern=Pattern(parameter.pattern) if parameter.pattern is not None else None,
        plain=str if parameter.type == "text" and not parameter.choices and parameter.pattern is None else None,
    )


def read_values(
    rules: Mapping[str, ParameterRule],
    values: Mapping[str, Any],
    private: Mapping[str, Secret | str],
    files: Mapping[str, FilePart],
) -> dict[str, Any]:
    """The value of each parameter that has one, in the order of ``rules``.

    ``values`` and ``files`` are the caller's, ``private`` the server's own.
    Nothing given, ``null`` (but for ``json``) and blank text (unless ``allow_blank``) are the same: the default, or
    left out where that is optional. Raises MissingParameter, InvalidParameter, and CredentialMissing for a private one.
    """
    _check_names(rules, values, files)
    found: dict[str, Any] = {}
    for name, each in rules.items():
        if each.private:
            found[name] = _private_value(each, private)
            continue
        value = files.get(name) if each.kind == "file" else values.get(name)
        if (value is None and not (each.kind == "json" and name in values)) or (value == "" and not each.blank):
            if each.default is not ABSENT:
                found[name] = each.default
            elif not each.optional:
                raise MissingParameter(f"The parameter {name} is missing. Give it as {_SAYS[each.kind]}.", param=name)
        elif each.plain is str and type(value) is str and value.isascii():
            found[name] = value
        else:
            found[name] = each.read(value)
    return found


def _check_names(rules: Mapping[str, ParameterRule], values: Mapping[str, Any], files: Mapping[str, FilePart]) -> None:
    """Raise InvalidParameter for what the call does not take."""
    for name in values:
        known = rules.get(name)
        if known is None or known.private or known.kind == "file":
            raise _unfit(name, known, rules, is_file=False)
    for name in files:
        known = rules.get(name)
        if known is None or known.private or known.kind != "file":
            raise _unfit(name, known, rules, is_file=True)


def _unfit(
    name: str, known: ParameterRule | None, rules: Mapping[str, ParameterRule], *, is_file: bool
) -> InvalidParameter:
    """The refusal of what the call does not take under ``name``."""
    if known is None:
        hint = suggestion(name, [each.name for each in rules.values() if not each.private]) or "; it takes none"
        end = "" if hint.endswith("?") else "."
        return InvalidParameter(f"This call has no parameter {shown(name)}{hint}{end}", param=cut(name))
    if known.private:
        return invalid(name, "is fixed on the server; leave it out")
    if is_file:
        return invalid(name, f"is no file; give it as {_SAYS[known.kind]}")
    return invalid(name, "is a file; send the call as multipart/form-data with a part of that name and a file name")


def _private_value(each: ParameterRule, private: Mapping[str, Secret | str]) -> Any:
    value = private.get(each.name)
    if value is None:
        if each.default is not ABSENT:
            return each.default
        raise CredentialMissing(
            f"The call's private parameter {each.name} has no value. An operator sets it with the API's credential.",
            param=each.name,
        )
    text = value.reveal_bytes().decode(errors="surrogateescape") if isinstance(value, Secret) else value
    return each.read(from_text(each.kind, each.name, text))


def coerce_text(call: Call, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Parameters that arrive as text, from a query string or form fields, as values of their types.

    A number is written as in JSON, a flag ``true`` or ``false``; ``json`` and ``object`` are JSON; a ``list`` is JSON
    in brackets, or the texts of all pairs with its name. A blank number, flag or time is as if it were not given. Names
    that the call does not have stay as they are, for ``fill`` to refuse. Raises InvalidParameter.
    """
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    found: dict[str, Any] = {}
    for name, each in texts.items():
        parameter = call.parameters.get(name)
        kind = parameter.type if parameter is not None else "text"
        if kind == "list" and not (len(each) == 1 and each[0].startswith("[")):
            found[name] = each
        elif len(each) > 1:
            raise invalid(name if parameter is not None else cut(name), "is given more than once; give it once")
        elif each[0] or kind not in _NOT_BLANK_TEXT:
            found[name] = from_text(kind, name, each[0])
    return found


def from_text(kind: str, name: str, text: str) -> Any:
    """The value of a ``kind`` that ``text`` writes; raises InvalidParameter."""
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    if kind not in {"number", "integer", "json", "list", "object"}:
        return text
    try:
        return read_json(text)
    except ValueError as error:
        raise invalid(name, f"{error}; write {_SAYS[kind]}") from None


def text_of(value: Any) -> str:
    """A value as text, for a path, a query, a header, a form field or the inside of a longer text.

    Text stays as it is, everything else is written as in JSON. Raises UnwritableError.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return write_json(value).decode()
    return scalar_text(value)


def comparable(value: Any) -> Any:
    """Something hashable that is equal for equal JSON values: 1.0 and 1.00 are, 1 and true are not."""
    if isinstance(value, bool | str) or value is None:
        return (type(value), value)
    if isinstance(value, float | Decimal | int):
        return (Decimal, Decimal(scalar_text(value)))
    if isinstance(value, list | tuple):
        return (list, tuple(comparable(item) for item in value))
    return (dict, frozenset((key, comparable(item)) for key, item in value.items()))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return "must be text; write it in quotes"
    return "" if value.isascii() or _is_whole(value) else "holds half a character (a lone surrogate); remove it"


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return "must be a number, without quotes"
    return _written(value)


def _integer(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return "must be a whole number, without quotes and decimals"
    return _written(value)


def _written(value: Any) -> str:
    if type(value) is int and -_PLAIN < value < _PLAIN:
        return ""
    try:
        scalar_text(value)
    except UnwritableError as error:
        return str(error)
    return ""


def _of_kind(kind: str, value: Any) -> str:
    says, fits = PARAMETER_TYPES[kind]
    return "" if fits(value) else f"must be {says}"


_SAYS = {kind: says.replace("a mapping", "an object") for kind, (says, _) in PARAMETER_TYPES.items()} | {
    "file": "a file"
}
_CHECKS: dict[str, Callable[[Any], str]] = {
    "text": _text,
    "number": _number,
    "integer": _integer,
    "boolean": lambda value: "" if isinstance(value, bool) else "must be true or false, without quotes",
    "date": partial(_of_kind, "date"),
    "datetime": partial(_of_kind, "datetime"),
    "json": lambda _: "",
    "list": lambda value: "" if isinstance(value, list) else "must be a list",
    "object": lambda value: "" if isinstance(value, dict) else "must be an object",
    "file": lambda value: "" if isinstance(value, FilePart) else "must be a file",
}
