"""The options of ``login`` and what they say as values. Knows no answer.

A step is written as a call of a definition is (``definitions.calls``): method, url, query, headers, body, with slots
for the credential's fields and for what earlier steps took. Each place encodes in its own way, so that no value can
change the structure of what is sent.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tieline.core import urls
from tieline.definitions import template, values
from tieline.definitions.bodies import BODY, slots
from tieline.definitions.calls import CALL_HEADER, PAIR
from tieline.definitions.fill.call import CompiledCall, compile_call
from tieline.definitions.fill.scope import Surroundings
from tieline.definitions.model import Body, Call, Pair, Parameter
from tieline.definitions.problems import shown
from tieline.definitions.schema import Choice, Cursor, Flag, Key, Many, Named, Record, Text
from tieline.definitions.sections import bounded
from tieline.schemes import api_key, declared, expiry
from tieline.schemes.base import Options
from tieline.schemes.declared import DeclaredField

COOKIES = "cookies"
_MOST_STEPS = 10
_MOST_TAKEN = 30
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Taken:
    """Where in a step's answer a value is: a path in its body, or the name of a header or cookie."""

    source: str
    path: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Ending:
    """What in a step's answer says when the login ends, and in which unit."""

    taken: Taken
    unit: str


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the login, and what is taken from its answer."""

    method: str
    url: str
    query: tuple[Pair, ...]
    headers: tuple[Pair, ...]
    body: Body
    take: Mapping[str, Taken]
    expires: Ending | None

    @property
    def host(self) -> str:
        """The host it goes to."""
        return urls.host_of(self.url)

    def names(self) -> tuple[str, ...]:
        """The names of all its slots."""
        return template.names_in([self.url, *self._within()])

    def names_within(self) -> tuple[str, ...]:
        """The names of its slots but for those of the URL, which may be variables of the definition."""
        return template.names_in(self._within())

    def compiled(self, variables: Collection[str] = ()) -> CompiledCall:
        """The request, ready to be filled with texts; raises ValueError for slots that nothing can fill safely."""
        parameters = {name: Parameter("body", allow_blank=True) for name in self.names() if name not in variables}
        call = Call(
            "action",
            self.method,
            url=self.url,
            parameters=parameters,
            query=self.query,
            headers=self.headers,
            body=self.body,
        )
        return compile_call(call, Surroundings(dict.fromkeys(variables, "x")))

    def _within(self) -> list[Any]:
        pairs = [pair.value for pair in (*self.query, *self.headers)]
        return [*pairs, *(each.value for each in self.body.fields), self.body.template, self.body.variables]


@dataclass(frozen=True, slots=True)
class Placed:
    """What goes into each request of the API, and where; ``value`` is a template."""

    place: str
    name: str
    value: str

    @property
    def options(self) -> Options:
        """The same as options of ``api_key``."""
        return {"in": self.place, "name": self.name}


@dataclass(frozen=True, slots=True)
class LoginSetup:
    """The options as values; ``lifetime`` in seconds."""

    fields: tuple[DeclaredField, ...]
    steps: tuple[Step, ...]
    place: tuple[Placed, ...]
    cookies: bool
    lifetime: float | None

    def placed_names(self) -> tuple[str, ...]:
        """The names of the slots in what goes into requests."""
        return template.names_in([each.value for each in self.place])


def login(options: Options) -> LoginSetup:
    """What ``options``, in which nothing is wrong, say."""
    found: LoginSetup = declared.read(OPTIONS, options)
    return found


def _taken(found: Mapping[str, Any], place: Cursor) -> Taken:
    source, path, name = found["from"], found["path"], found["name"]
    if source == "body" and (path is None or name is not None):
        place.problem("what is in a body is found by path; write path: data.token")
    if source != "body" and (name is None or path is not None):
        place.problem(f"what is in a {source} is found by its name; write name")
    return Taken(source, path, name)


def _ending(found: Mapping[str, Any], place: Cursor) -> Ending:
    if found["from"] == "cookie":
        place.key("from").problem("when a login ends is in the body or a header; write one of them")
    rest = {name: value for name, value in found.items() if name != "unit"}
    return Ending(_taken(rest, place), found["unit"])


def _placed(found: Mapping[str, Any], place: Cursor) -> Placed:
    for problem in api_key.ApiKey().check({"in": found["in"], "name": found["name"]}):
        place.problem(problem)
    return Placed(found["in"], found["name"], found["value"])


def _login(found: Mapping[str, Any], place: Cursor) -> LoginSetup:
    made = LoginSetup(**{key: value for key, value in found.items() if key != declared.RENEW_ON.name})
    known = {each.name for each in made.fields}
    for index, step in enumerate(made.steps):
        spot = place.key("steps").item(index)
        _check_slots(step, known, spot)
        for name in step.take:
            if name in known or name == COOKIES:
                spot.key("take").problem(f"{shown(name)} is taken already; choose another name")
        known |= step.take.keys()
    for problem in _strangers(made.placed_names(), known):
        place.key("place").problem(problem)
    if not made.place and not made.cookies:
        place.problem("place is missing; say where the token goes, or write cookies: true")
    return made


def _check_slots(step: Step, known: Collection[str], place: Cursor) -> None:
    before = len(place.findings)
    for name in template.parse(step.host).names():
        if name in known:
            place.key("url").problem(f"{shown(f'<{name}>')} is a secret and cannot name a host; write the host down")
    for problem in _strangers(step.names_within(), known):
        place.problem(problem)
    if len(place.findings) == before:
        try:
            step.compiled([name for name in step.names() if name not in known])
        except ValueError as error:
            place.problem(str(error))


def _strangers(names: Sequence[str], known: Collection[str]) -> list[str]:
    return [
        f"{shown(f'<{name}>')} is no field and no earlier step takes it; add it to fields, or write \\< for a literal <"
        for name in names
        if name not in known
    ]


def _tried(text: str) -> str:
    parsed = template.parse(text)
    urls.full_url(parsed.render_text(dict.fromkeys(parsed.names(), "x")))
    return text


_TAKEN_KEYS = (
    Key("from", Choice(("body", "header", "cookie")), "body"),
    Key("path", declared.PATH, None),
    Key("name", Text("name of the header or cookie", values.pair_name, most=200), None),
)
_TAKE = Record("take", _TAKEN_KEYS, _taken)
_EXPIRES = Record("expires", (*_TAKEN_KEYS, Key("unit", Choice(expiry.UNITS), "seconds")), _ending)
_STEP = Record(
    "step",
    (
        Key("method", Choice(_METHODS), "POST"),
        Key("url", Text("http or https URL", _tried, most=8000)),
        Key("query", Many(PAIR, 100), ()),
        Key("headers", Many(CALL_HEADER, 100), ()),
        Key("body", BODY, Body(), shows="no body"),
        Key("take", Named("name", declared.is_field_name, declared.FIELD_RULE, _TAKE, _MOST_TAKEN), {}),
        Key("expires", _EXPIRES, None),
    ),
    lambda found, _: Step(**found),
)
_PLACED = Record(
    "place",
    (
        Key("in", Choice(("header", "query", "cookie", "body")), "header"),
        Key("name", Text("name of the header, query pair or cookie", values.pair_name, most=200)),
        Key("value", Text("text", slots, most=4000)),
    ),
    _placed,
)
OPTIONS = Record(
    "login",
    (
        Key("fields", declared.FIELDS, ()),
        Key("steps", Many(_STEP, _MOST_STEPS, least=1)),
        Key("place", Many(_PLACED, 10), ()),
        Key("cookies", Flag(), default=False),
        Key("lifetime", bounded("1s", "365d"), None, shows="until the API refuses it"),
        declared.RENEW_ON,
    ),
    _login,
)
