"""An API made ready for requests: everything that its definition and credential say, compiled once per change.

Owns the compiled form. Knows nothing of keys or of a single request.
"""

import html
import re
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from tieline.access.appkey import KeyPlaces
from tieline.access.areas import AreaTable
from tieline.core.errors import CredentialMissing, TielineError
from tieline.core.names import Environment
from tieline.core.secret import Secret
from tieline.core.urls import Origin, parse_base
from tieline.dataplane.snapshot.calls import Belongings, Calls
from tieline.definitions.environment import in_environment, resolve
from tieline.definitions.model import Definition, Limits, SharedHeader, SharedParameter, Usage, Verify
from tieline.definitions.parse import parse_data
from tieline.ports.apis import ApiRow
from tieline.ports.credentials import SealedCredential
from tieline.schemes.base import Applier, Outgoing
from tieline.schemes.flow import Renewal
from tieline.schemes.registry import SCHEMES, bind, bound_hosts, credential_fields, public_fields
from tieline.wire import framing
from tieline.wire.guard import Guard
from tieline.wire.pool import Lane, LaneKey
from tieline.wire.tls import TlsIdentity

ENVIRONMENTS: tuple[Environment, ...] = ("live", "development")
DROPPED, PASSED, CONTENT_TYPE, CONTENT_ENCODING = range(4)
_TELLING = {b"content-type": CONTENT_TYPE, b"content-encoding": CONTENT_ENCODING}
_MEMORY = 1024
_NAME_MEMORY = 128


class HeaderFate(dict[bytes, int]):
    """What becomes of a header field in one direction, by its name as written; learnt at the first sight of it."""

    def __init__(self, dropped: frozenset[bytes]) -> None:
        super().__init__()
        self._dropped = dropped

    def __missing__(self, name: bytes) -> int:
        lower = name.lower()
        if lower in self._dropped or lower.startswith(b"tieline-") or framing.is_engine_owned(lower):
            fate = DROPPED
        else:
            fate = _TELLING.get(lower, PASSED)
        if len(self) < _MEMORY and len(name) < _NAME_MEMORY:
            self[name] = fate
        return fate


@dataclass(frozen=True, slots=True)
class AddedHeader:
    """A shared header, and its value wherever that comes from."""

    shared: SharedHeader
    name: bytes
    value: Secret


@dataclass(frozen=True, slots=True)
class AddedPair:
    """A shared query parameter as the ``name=value`` that is sent, encoded."""

    shared: SharedParameter
    name: bytes
    pair: Secret


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Plan:
    """One API in one environment.

    ``problem`` is why it cannot be relayed to now (no credential); then ``lane`` is None. ``exit`` leads elsewhere,
    where a call names a whole URL. ``auth`` are the schemes in order; ``steady`` says that what they add depends on the
    head of a request alone. ``base_path`` has no slash at its end. What callers send under a name in
    ``replaced_query``, or under one that ``request_fate`` drops, does not go on. ``reflections`` are secrets that are
    masked if the upstream sends them back. ``first_byte`` is how many seconds an answer may take to begin. ``calls``
    are made ready when they are first run.
    """

    api_id: str
    name: str
    title: str
    environment: Environment
    table: AreaTable
    places: KeyPlaces
    limits: Limits
    first_byte: float
    origin: Origin
    base_path: bytes
    lane: Lane | None
    exit: "Exit"
    auth: tuple[Applier | Renewal, ...]
    request_fate: HeaderFate
    answer_fate: HeaderFate
    replaced_query: frozenset[bytes]
    added_headers: tuple[AddedHeader, ...]
    added_pairs: tuple[AddedPair, ...]
    reflections: tuple[bytes, ...]
    usage: Usage | None
    verify: Verify | None
    problem: TielineError | None
    steady: bool
    calls: Calls

    def add_shared(self, outgoing: Outgoing, path: bytes) -> None:
        """Add shared headers and parameters; ``path`` is the part below the base URL."""
        if self.added_headers:
            self._add_headers(outgoing, path.decode("ascii"))
        if self.added_pairs:
            self._add_pairs(outgoing, path.decode("ascii"))

    def _add_headers(self, outgoing: Outgoing, path: str) -> None:
        added = [each for each in self.added_headers if each.shared.applies(path)]
        sometimes = {each.name.lower() for each in added if each.shared.when is not None}
        if sometimes:
            outgoing.headers[:] = [pair for pair in outgoing.headers if pair[0].lower() not in sometimes]
        outgoing.headers += [(each.name, each.value.reveal_bytes()) for each in added]

    def _add_pairs(self, outgoing: Outgoing, path: str) -> None:
        added = [each for each in self.added_pairs if each.shared.applies(path)]
        sometimes = frozenset(each.name for each in added if each.shared.when is not None)
        if sometimes and outgoing.query:
            outgoing.drop_query(sometimes)
        for each in added:
            outgoing.add_query(each.pair.reveal_bytes())


@dataclass(frozen=True, slots=True, repr=False)
class Exit:
    """The way out of an API's requests: to its ``hosts`` only, over connections that are its credential's alone."""

    guard: Guard
    hosts: tuple[str, ...]
    credential: str
    identity: TlsIdentity | None
    lane: Callable[[Origin, str, TlsIdentity | None], Lane]

    def lane_to(self, origin: Origin, identity: TlsIdentity | None = None) -> Lane:
        """Connections to ``origin`` as ``identity``, where a token is bound to one, else as the API's own.

        Raises:
            DestinationNotAllowed: the credential may not go there.
            CredentialMissing: the client certificate cannot be used.
        """
        return self._lane(origin, self.credential, identity or self.identity)

    def lane_to_issuer(self, origin: Origin, identity: TlsIdentity | None) -> Lane:
        """Connections to a token's issuer, apart from those that carry requests of apps. Raises as ``lane_to``."""
        return self._lane(origin, f"{self.credential}/issuer", identity)

    def _lane(self, origin: Origin, credential: str, identity: TlsIdentity | None) -> Lane:
        self.guard.check_host(origin.host, self.hosts)
        try:
            return self.lane(origin, credential, identity)
        except ssl.SSLError as error:
            raise CredentialMissing(
                "The client certificate of the API cannot be used: it does not fit its key, or is none. An operator "
                "sets the credential again.",
                detail=str(error),
            ) from None


@dataclass(frozen=True, slots=True)
class Api:
    """An API in every environment, and the revision of the definition it was compiled from."""

    row: ApiRow
    credentials: tuple[SealedCredential, ...]
    plans: Mapping[Environment, Plan]
    places: KeyPlaces
    lanes: frozenset[LaneKey]


@dataclass(frozen=True, slots=True)
class Compiler:
    """Turns rows into plans. ``reveal`` opens the fields of a credential; ``lane`` gives connections."""

    guard: Guard
    reveal: Callable[[SealedCredential], Mapping[str, Secret]]
    lane: Callable[[Origin, str, TlsIdentity | None], Lane]

    def compile(self, row: ApiRow, credentials: Sequence[SealedCredential]) -> Api:
        """The API of ``row`` with its active ``credentials``, at most one per environment."""
        definition = parse_data(orjson.loads(row.definition))
        by_environment = {each.environment: each for each in credentials}
        plans = {name: self._plan(row, definition, by_environment.get(name), name) for name in ENVIRONMENTS}
        lanes = frozenset(plan.lane.key for plan in plans.values() if plan.lane is not None)
        places = _joined([plan.places for plan in plans.values()])
        return Api(row, tuple(credentials), plans, places, lanes)

    def _plan(
        self, row: ApiRow, general: Definition, credential: SealedCredential | None, environment: Environment
    ) -> Plan:
        fields = self.reveal(credential) if credential is not None else {}
        definition, unfit = _resolved(general, environment, fields)
        origin, base_path = parse_base(definition.base_url)
        problem = self._problem(definition, fields, credential, environment) or unfit
        auth: tuple[Applier | Renewal, ...] = ()
        lane: Lane | None = None
        headers = _added_headers(definition, fields)
        pairs = _added_pairs(definition, fields)
        if problem is None:
            try:
                auth = bind(definition, fields)
            except CredentialMissing as error:
                problem = error
        appliers = [each for each in auth if isinstance(each, Applier)]
        out = Exit(
            guard=self.guard,
            hosts=credential.hosts if credential is not None and credential.hosts else bound_hosts(definition),
            credential=f"{row.id}/{credential.id if credential is not None else environment}",
            identity=next((each.tls for each in appliers if each.tls is not None), None),
            lane=self.lane,
        )
        if problem is None:
            problem = _unsendable(definition, origin, headers, appliers)
        if problem is None:
            try:
                lane = out.lane_to(origin)
            except TielineError as error:
                problem = error
        always = frozenset(each.name.lower() for each in headers if each.shared.when is None)
        always_query = frozenset(each.name for each in pairs if each.shared.when is None)
        replaced = always.union(*(each.replaces for each in appliers))
        return Plan(
            api_id=row.id,
            name=row.name,
            title=definition.title,
            environment=environment,
            table=AreaTable(definition.areas, literal=definition.paths == "literal"),
            places=_places(definition),
            limits=definition.limits,
            first_byte=min(definition.limits.first_byte, definition.limits.total),
            origin=origin,
            base_path=base_path.encode(),
            lane=lane,
            exit=out,
            auth=auth,
            request_fate=HeaderFate(
                replaced | {name.lower().encode() for name in definition.drop_request_headers} | {b"host"}
            ),
            answer_fate=HeaderFate(frozenset(name.lower().encode() for name in definition.drop_response_headers)),
            replaced_query=always_query.union(*(each.replaces_query for each in appliers)),
            added_headers=headers,
            added_pairs=pairs,
            reflections=reflected(appliers, *_hidden_and_shown(definition, fields)),
            usage=definition.usage,
            verify=definition.verify,
            problem=problem,
            steady=all(isinstance(each, Applier) and _is_steady(each) for each in auth),
            calls=Calls(definition, _belongings(fields, appliers)),
        )

    def _problem(
        self,
        definition: Definition,
        fields: Mapping[str, Secret],
        credential: SealedCredential | None,
        environment: Environment,
    ) -> TielineError | None:
        needed = [each.name for each in credential_fields(definition) if each.field.required]
        missing = [name for name in needed if name not in fields]
        if not missing and (credential is not None or not credential_fields(definition)):
            return None
        what = f"lacks {', '.join(missing)}" if credential is not None else "is not set"
        return CredentialMissing(
            f"The {environment} credential of {definition.title} {what}. An operator sets it with: "
            f"tieline credential set {definition.api} --environment {environment} --stdin --activate",
            param=missing[0] if missing else None,
        )


def _resolved(
    general: Definition, environment: Environment, fields: Mapping[str, Secret]
) -> tuple[Definition, TielineError | None]:
    """The definition with its variables filled in, and why the credential's values for them cannot be used, if so.

    One environment's credential must not take the other environment out.
    """
    declared = {*general.variables, *general.environments.get(environment, {}).get("variables", {})}
    given = {name: fields[f"variable.{name}"] for name in declared if f"variable.{name}" in fields}
    try:
        texts = {name: value.reveal_bytes().decode() for name, value in given.items()}
        found = resolve(general, environment, texts)
        if declared and any(SCHEMES.check(auth.scheme, auth.options) for auth in found.auth):
            raise ValueError("an option of auth does not fit with the variables filled in")
        return found, None
    except (TielineError, ValueError) as error:
        problem = CredentialMissing(  # the error itself may show a private value
            f"The {environment} credential of {general.title} holds a value that does not fit the variables of the "
            "definition. An operator sets it again.",
            detail=f"{type(error).__name__} with {sorted(given)}",
        )
    variables = in_environment(general, environment).variables
    return resolve(general, environment, {name: "unset" for name, each in variables.items() if each.private}), problem


def _belongings(fields: Mapping[str, Secret], appliers: Sequence[Applier]) -> Belongings:
    headers = frozenset[bytes]().union(*(each.replaces for each in appliers))
    query = frozenset[bytes]().union(*(each.replaces_query for each in appliers))
    return Belongings(fields, *(frozenset(name.decode("latin-1") for name in names) for names in (headers, query)))


def _is_steady(applier: Applier) -> bool:
    return applier.lasting and not applier.reads_body and not applier.listens


def _unsendable(
    definition: Definition, origin: Origin, headers: Sequence[AddedHeader], appliers: Sequence[Applier]
) -> TielineError | None:
    """Why what would be added to every request cannot go over the wire, if so: it would end its line, or is no name."""
    sample = Outgoing(b"GET", b"/", b"", [(each.name, each.value.reveal_bytes()) for each in headers], origin)
    try:
        for applier in appliers:
            if _is_steady(applier):
                applier.apply(sample)
    except CredentialMissing as error:
        return error
    fields = all(framing.is_name(name) and framing.is_value(value) for name, value in sample.headers)
    if fields and framing.is_target(sample.path + b"?" + sample.query):
        return None
    return CredentialMissing(
        f"The credential of {definition.title} holds a character that cannot be sent. An operator sets it again, "
        "without line breaks."
    )


def _places(definition: Definition) -> KeyPlaces:
    return _joined([SCHEMES.get(auth.scheme).places(auth.options) for auth in definition.auth])


def _joined(each: Sequence[KeyPlaces]) -> KeyPlaces:
    return KeyPlaces(
        headers=frozenset().union(*(places.headers for places in each)),
        query=frozenset().union(*(places.query for places in each)),
        basic=any(places.basic for places in each),
        protocol_prefixes=tuple(dict.fromkeys(prefix for places in each for prefix in places.protocol_prefixes)),
        cookies=frozenset().union(*(places.cookies for places in each)),
        scoped=any(places.scoped for places in each),
    )


def _added_headers(definition: Definition, fields: Mapping[str, Secret]) -> tuple[AddedHeader, ...]:
    added = []
    for header in definition.headers:
        value = fields.get(f"header.{header.name}") if header.private else Secret.from_text(header.value or "")
        if value is not None:
            added.append(AddedHeader(header, header.name.encode(), value))
    return tuple(added)


def _added_pairs(definition: Definition, fields: Mapping[str, Secret]) -> tuple[AddedPair, ...]:
    added = []
    for parameter in definition.parameters:
        private = fields.get(f"parameter.{parameter.name}")
        value = private.reveal_bytes() if private is not None else (parameter.value or "").encode()
        if parameter.place == "query" and (private is not None or not parameter.private):
            pair = f"{quote(parameter.name, safe='')}={quote(value, safe='')}"
            added.append(AddedPair(parameter, parameter.name.encode(), Secret.from_text(pair)))
    return tuple(added)


def _hidden_and_shown(
    definition: Definition, fields: Mapping[str, Secret]
) -> tuple[Sequence[Secret], Sequence[Secret]]:
    """The values that may not come back in an answer, and those that may, such as a user's name."""
    public = public_fields(definition, fields.keys())
    hidden = [value for name, value in fields.items() if name not in public]
    return hidden, [value for name, value in fields.items() if name in public]


def reflected(appliers: Sequence[Applier], fields: Iterable[Secret], shown: Iterable[Secret] = ()) -> tuple[bytes, ...]:
    """What to look for in answers: the secrets as they are and as others write them, without short ones.

    Short values match by chance. ``shown`` are values of the credential that are no secrets (a user's name, a client's
    or key's id): an answer may hold them.
    """
    values = {secret.reveal_bytes() for applier in appliers for secret in applier.secrets()}
    values |= {value.rpartition(b" ")[2] for value in values}  # what stands behind Bearer or Basic is told alone too
    values |= {secret.reveal_bytes() for secret in fields}
    values -= {secret.reveal_bytes() for secret in shown}
    values |= {form for value in values for form in _written(value)}
    stems = {value.rstrip(b"=") for value in values}  # what base64 is padded with tells nothing, and is often left out
    long_enough = {value for value in stems if len(value) >= _REFLECTED_LEAST}
    return tuple(value for value in long_enough if not any(other != value and other in value for other in long_enough))


def _written(value: bytes) -> tuple[bytes, ...]:
    """How URLs, JSON and HTML hold a secret; most hold it as it is."""
    url = quote(value, safe="")
    urls = (url, quote(value), re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), url))
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return tuple(form.encode() for form in urls)
    in_json = orjson.dumps(text)[1:-1].decode()
    lower, upper = (
        "".join([f"\\u00{ord(mark):{digits}}" if mark in _HTML_SAFE else mark for mark in in_json])
        for digits in ("02x", "02X")
    )
    forms = (*urls, in_json, in_json.replace("/", "\\/"), lower, upper, html.escape(text))
    return tuple(form.encode() for form in forms)


_REFLECTED_LEAST = 12
_HTML_SAFE = "=&<>+'"
"""What writers of JSON that may stand in a page escape: Gson and Go's, and .NET's in capitals."""
