"""A definition as values: everything that ``tieline/v1`` can say, and nothing secret. Knows no text and no YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from tieline.access.areas import Area
from tieline.access.limits import UNLIMITED, RequestLimits
from tieline.core.names import Environment

ENVIRONMENTS: tuple[Environment, ...] = ("live", "development")


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that base URL, hosts, shared values and verify path may hold as ``<name>``.

    A private variable has no default; its value is the credential field ``variable.<name>``.
    """

    title: str | None = None
    default: str | None = None
    choices: tuple[str, ...] = ()
    required: bool = True
    private: bool = False


@dataclass(frozen=True, slots=True)
class AuthSpec:
    """A scheme by name, and the options that the scheme's own module understands."""

    scheme: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SharedHeader:
    """A header that every request to the API gets.

    ``value`` is None for a private one, whose value is the credential field ``header.<name>``. ``when`` is a path below
    the base URL or, with ``*`` at its end, how such paths begin.
    """

    name: str
    value: str | None
    private: bool = False
    when: str | None = None

    def applies(self, path: str) -> bool:
        """Whether a request to ``path`` (below the base URL, without query) gets it."""
        return _applies(self.when, path)


@dataclass(frozen=True, slots=True)
class SharedParameter:
    """A query pair or body member that every request to the API gets; private ones as with ``SharedHeader``."""

    name: str
    place: Literal["query", "body"]
    value: str | None
    private: bool = False
    when: str | None = None

    def applies(self, path: str) -> bool:
        """Whether a request to ``path`` (below the base URL, without query) gets it."""
        return _applies(self.when, path)


@dataclass(frozen=True, slots=True)
class Verify:
    """The request that shows whether a credential works; ``expect`` holds statuses such as ``200`` and ``2xx``."""

    method: str = "GET"
    path: str = "/"
    expect: tuple[str, ...] = ("2xx",)

    def accepts(self, status: int) -> bool:
        """Whether ``status`` is one that is expected."""
        return any(str(status) == each or (each[1:] == "xx" and each[0] == str(status)[0]) for each in self.expect)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much: seconds, bytes of a request's body, tries in all.

    ``traffic`` is how much all apps together may have of the API, at once and over time. ``breaker``: whether a circuit
    breaker guards it; ``connections``: how many its base URL's origin has at once, None for any number.
    """

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 600.0
    body: int = 512 * 1024 * 1024
    retry_attempts: int = 2
    traffic: RequestLimits = UNLIMITED
    breaker: bool = True
    connections: int | None = None


@dataclass(frozen=True, slots=True)
class UsageSpot:
    """Where one quantity is told: by the first of ``paths`` that leads to something, or by a header of the answer.

    ``event`` names the events of a stream that tell it, None for all; ``together`` (last, sum, highest) says what
    several of them make; ``counts`` (figure, items) whether a figure stands there or a list whose items are counted.
    """

    paths: tuple[str, ...] = ()
    header: str | None = None
    event: str | None = None
    together: str = "last"
    counts: str = "figure"


@dataclass(frozen=True, slots=True)
class Usage:
    """How usage is read from answers: as a provider of that ``kind`` tells it, or where ``quantities`` say.

    ``include_usage`` says whether chat streams may be asked for it; ``model`` is the path to the model's name.
    """

    kind: str
    include_usage: bool = True
    model: str | None = None
    quantities: Mapping[str, UsageSpot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PriceRate:
    """What so much of a quantity costs, in US dollars; ``per`` is how much, such as ``1M`` or ``minute``.

    ``above`` are amounts for all of a request that read more input tokens than so many, in rising order.
    """

    usd: Decimal
    per: str
    above: tuple[tuple[int, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, by quantity (``core.quantities``), from one day on and before another, both in UTC.

    ``tiers`` are rates that other service tiers have instead. ``window`` is the most tokens that the model takes at
    once, ``most_output`` the most that it writes. ``date`` and ``source`` say when and where the figures were read.
    """

    date: str
    source: str
    rates: Mapping[str, PriceRate] = field(default_factory=dict)
    tiers: Mapping[str, Mapping[str, PriceRate]] = field(default_factory=dict)
    begins: str | None = None
    ends: str | None = None
    window: int | None = None
    most_output: int | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a call is run with.

    Not given by the caller: ``required`` refuses, ``optional`` leaves out the header, pair or member that holds it,
    else ``default`` is used. A ``private`` one is fixed on the server: its default, or the credential field
    ``call.<call>.<parameter>``.
    """

    place: str
    type: str = "text"
    required: bool = True
    default: Any = None
    private: bool = False
    optional: bool = False
    allow_blank: bool = False
    choices: tuple[Any, ...] = ()
    pattern: str | None = None
    raw: bool = False
    title: str | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A header or query pair of a call; both sides as they are sent, the value a template."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class BodyField:
    """A field of a form or part of a multipart body; ``filename`` and ``content_type`` for parts only."""

    name: str
    value: str
    filename: str | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """What a call sends: ``template`` for json, raw and xml, ``fields`` for form and multipart, else for graphql."""

    type: str = "none"
    template: Any = None
    fields: tuple[BodyField, ...] = ()
    content_type: str | None = None
    query: str | None = None
    variables: Any = None
    operation_name: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an answer: where it is, what it is, and whether callers get it.

    ``object`` names the object type of ``type: object``; ``parse`` reads text that holds JSON; ``optional`` says that
    samples at times lacked it or had null, ``undecided`` that none has shown yet what it holds; ``pinned`` keeps a
    person's edit when the call is initialized again.
    """

    path: str
    type: str
    list: bool = False
    include: bool = True
    name: str | None = None
    object: str | None = None
    parse: bool = False
    optional: bool = False
    undecided: bool = False
    pinned: bool = False
    sample: Any = None


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """A typed event of a stream; ``name`` None stands for events without a name."""

    name: str | None
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Spot:
    """A path in a stream's events, in those named ``event`` or in all; ``parse``: text there holds JSON."""

    path: str
    event: str | None = None
    parse: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """The shape of a streamed answer: its framing, events, text delta, usage, and what ends it.

    A ``preset`` names a provider whose shape it is, and brings the format; what is given beside it replaces its own.
    """

    format: str = "sse"
    text: Spot | None = None
    usage: Spot | None = None
    end: str | None = None
    events: tuple[StreamEvent, ...] = ()
    preset: str | None = None
    done: Spot | None = None
    error: Spot | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What a call answers with. ``unknown`` (keep or drop) says what becomes of what no field and no event names."""

    type: str = "json"
    fields: tuple[Field, ...] = ()
    include_errors: bool = False
    capture_headers: tuple[str, ...] = ()
    stream: Stream | None = None
    unknown: str = "keep"


@dataclass(frozen=True, slots=True)
class Cache:
    """How long answers of a data call are kept, and the parameters that tell them apart (all, when none is named)."""

    ttl: float
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pagination:
    """How a call's answers follow each other.

    ``parameter`` carries the page, offset or cursor; ``next`` finds the cursor or URL in the answer's body, ``header``
    in its headers; ``also`` finds what further parameters carry beside a cursor; ``call`` is the call that asks for the
    pages after the first. ``items`` finds the list of items; ``start`` and ``step`` count pages or items. ``more``,
    ``last``, ``total`` (of items) and ``pages`` find what tells the end; ``past_end`` are statuses of pages that do not
    exist.
    """

    kind: str
    parameter: str | None = None
    items: str | None = None
    next: str | None = None
    header: str | None = None
    also: Mapping[str, str] = field(default_factory=dict)
    call: str | None = None
    start: int = 0
    step: int = 1
    more: str | None = None
    last: str | None = None
    total: str | None = None
    pages: str | None = None
    past_end: tuple[int, ...] = ()
    most_items: int = 10_000
    most_time: float = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One named operation: exactly one of ``path`` (below the base URL) and ``url`` is given. Times in seconds."""

    use_as: Literal["data", "action"]
    method: str = "GET"
    path: str | None = None
    url: str | None = None
    title: str | None = None
    notes: str | None = None
    folder: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    query: tuple[Pair, ...] = ()
    headers: tuple[Pair, ...] = ()
    body: Body = Body()
    response: Response = Response()
    timeout: float | None = None
    retry_attempts: int | None = None
    idempotency_header: str | None = None
    cache: Cache | None = None
    pagination: Pagination | None = None
    follow_redirects: bool = False


@dataclass(frozen=True, slots=True)
class RecordedBodies:
    """What is kept of the body of each request and of its answer: ``most`` bytes of either, for ``keep`` seconds."""

    most: int = 16 * 1024
    keep: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Definition:
    """An API. Header names in the lists are lower-case; ``environments`` holds overrides as plain data.

    ``rewrite_response_headers`` are fields beside ``Location`` and its kin whose URLs lead back to the relay. ``paths``
    is ``literal`` where the API takes every segment of a path for itself, dot segments too.
    ``errors`` is the shape that Tieline's own errors have for this API's clients.
    ``audit`` is ``strict`` where an answer is not whole before its request record is stored. ``record_bodies`` says
    how much of bodies is recorded, and for how long; None for none.
    ``prices_from`` names the provider whose prices hold for models that ``prices`` has not: None for the one that
    ``base_url`` belongs to, ``none`` for nobody's.
    ``private_parameters`` are the credential fields of its calls (see the function of that name).
    """

    api: str
    title: str
    base_url: str
    hosts: tuple[str, ...]
    documentation: str | None
    notes: str | None
    icon: str | None
    variables: Mapping[str, Variable]
    environments: Mapping[str, Mapping[str, Any]]
    auth: tuple[AuthSpec, ...]
    headers: tuple[SharedHeader, ...]
    parameters: tuple[SharedParameter, ...]
    drop_request_headers: tuple[str, ...]
    drop_response_headers: tuple[str, ...]
    rewrite_response_headers: tuple[str, ...]
    paths: Literal["plain", "literal"]
    errors: str
    audit: Literal["batched", "strict"]
    record_bodies: RecordedBodies | None
    verify: Verify | None
    limits: Limits
    areas: tuple[Area, ...]
    usage: Usage | None
    prices_from: str | None
    prices: Mapping[str, tuple[Price, ...]]
    calls: Mapping[str, Call]
    private_parameters: tuple[str, ...]

    def private_fields(self) -> tuple[str, ...]:
        """The credential fields, beside the scheme's own, that hold the definition's private values."""
        names = [f"header.{header.name}" for header in self.headers if header.private]
        names += [f"parameter.{parameter.name}" for parameter in self.parameters if parameter.private]
        names += [f"variable.{name}" for name, variable in self.variables.items() if variable.private]
        return tuple(dict.fromkeys((*names, *self.private_parameters)))


def private_parameters(calls: Mapping[str, Call]) -> tuple[str, ...]:
    """The credential fields ``call.<call>.<parameter>`` that hold the private values of ``calls``."""
    return tuple(
        f"call.{call_name}.{name}"
        for call_name, call in calls.items()
        for name, parameter in call.parameters.items()
        if parameter.private and parameter.default is None
    )


def _applies(when: str | None, path: str) -> bool:
    if when is None:
        return True
    return path.startswith(when[:-1]) if when.endswith("*") else path == when
