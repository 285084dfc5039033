"""Options of a scheme that are declared as a record: read into values, or held to be wrong. Knows no scheme.

The words are those that the format of definitions is declared in (``definitions.schema``), so that options are read,
refused and documented alike. URLs, hosts and texts may hold the definition's ``<variables>``: options are read before
and after these are filled in.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tieline.core import urls
from tieline.core.names import is_area_name
from tieline.definitions import values
from tieline.definitions.infer.paths import is_path, reach, split
from tieline.definitions.infer.shape import collect
from tieline.definitions.problems import DefinitionError, Findings, shown
from tieline.definitions.schema import Cursor, Data, Flag, Key, Many, Named, Record, Text
from tieline.definitions.sections import TITLE, named, slotted
from tieline.definitions.tree import plant
from tieline.schemes.base import Options, SchemeField, unknown_options

_MOST_PAIRS = 50
_MOST_FIELDS = 30
FIELD_RULE = "use lower-case letters, digits and _, a letter first, at most 63"
_LONG_NAME = re.compile(r"[^.\[\]]{25,}")


def problems(record: Record, options: Options) -> list[str]:
    """What is wrong with ``options``, a sentence each that begins with the option's name and a colon."""
    found = unknown_options(options, frozenset(key.name for key in record.keys))
    findings = Findings()
    try:
        record.read(Cursor(plant(_known(record, options)), findings))
        findings.settle()
    except DefinitionError as error:
        # a name that somebody chose may be a secret in the wrong place, as a text may
        places = [_LONG_NAME.sub(lambda name: name[0][:8] + "…", each.path) for each in error.problems]
        found += [
            f"{place}: {each.message}" if place else each.message
            for place, each in zip(places, error.problems, strict=True)
        ]
    return found


def read(record: Record, options: Options) -> Any:
    """The value that ``options``, in which ``problems`` found none, make; those of other modules are theirs to read.

    Raises ValueError where variables that were filled in since do not fit.
    """
    found = record.read(Cursor(plant(_known(record, options)), Findings()))
    if found is None:
        raise ValueError("the options do not fit their scheme")
    return found


def _known(record: Record, options: Options) -> Options:
    return {key.name: options[key.name] for key in record.keys if key.name in options}


def at_path(document: Any, path: str) -> Any:
    """The value that ``path`` leads to in an answer, None where it leads nowhere."""
    found: list[Any] = []
    collect(document, reach(split(path)), found)
    return found[0] if found else None


def is_field_name(name: str) -> bool:
    """Whether ``name`` can name a field of a credential: lower-case letters, digits, ``_``; a letter first."""
    return is_area_name(name)


@dataclass(frozen=True, slots=True)
class DeclaredField:
    """A field of the credential that a definition declares, for slots of the same name."""

    name: str
    label: str
    secret: bool

    @property
    def field(self) -> SchemeField:
        """The field as credentials have it."""
        return SchemeField(self.name, self.label, secret=self.secret)


def _declared_field(found: Mapping[str, Any], _: Cursor) -> DeclaredField:
    return DeclaredField(found["name"], found["label"] or found["name"].replace("_", " ").capitalize(), found["secret"])


def _path(text: str) -> str:
    if not is_path(text):
        raise ValueError(f"{shown(text)} is no path; write it like data.token or items[0].id")
    return text


def _passes(check: Callable[[str], str]) -> Callable[[str], bool]:
    def passes(text: str) -> bool:
        try:
            check(text)
        except ValueError:
            return False
        return True

    return passes


PAIR_NAME = Text("text of 1–200 characters", values.pair_name)
URL = Text("http or https URL", slotted(urls.full_url), most=2000)
# A name that looks like a URL and is compared letter by letter.
IDENTIFIER = Text("http or https URL", slotted(values.web_url), most=2000)
HOST = Text("host", slotted(urls.written_host), most=300)
PATH = Text("path in the answer", _path, most=1000)
LINE = Text("text of one line", values.header_value, most=2000)
PAIRS = Named(
    "parameter name", _passes(values.pair_name), "use 1 to 200 printable characters", Text("text"), _MOST_PAIRS
)
HEADERS = Named(
    "header name",
    _passes(values.header_name),
    "use letters, digits and hyphens, and none that belongs to the connection",
    LINE,
    _MOST_PAIRS,
)
FIELD = Record(
    "field",
    (
        Key("name", Text("name", named(is_field_name, "name of a field", FIELD_RULE))),
        Key("label", TITLE, None, shows="the name as a sentence begins"),
        Key("secret", Flag(), default=True),
    ),
    _declared_field,
)
FIELDS = Many(FIELD, _MOST_FIELDS)
RENEW_ON = Key("renew_on", Data("what says that the token is no longer good"), None, shows="`{status: [401]}`")
