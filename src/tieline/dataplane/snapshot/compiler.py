"""Turns the rows of an API into plans, in two steps: what its definition says, then what a credential adds.

Reading a definition takes time that grows with it, and is for a thread; it depends on nothing but the row, so another
credential does not repeat it. Adding a credential is quick and touches the pool, and is for the loop. Whatever goes
wrong in an environment becomes the ``problem`` of its plan: neither the other environment nor another API suffers.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tieline.access.appkey import KeyPlaces
from tieline.access.areas import AreaTable
from tieline.core.errors import CredentialMissing, DefinitionUnusable, TielineError
from tieline.core.names import Environment
from tieline.core.secret import Secret
from tieline.core.urls import Origin, parse_base
from tieline.dataplane.limits.bounds import bounds_of
from tieline.dataplane.snapshot.calls import Belongings, Calls
from tieline.dataplane.snapshot.exit import Exit
from tieline.dataplane.snapshot.header_fate import HeaderFate
from tieline.dataplane.snapshot.plan import Api, Plan, ReadEnvironment
from tieline.dataplane.snapshot.reflections import hidden_and_shown, reflected
from tieline.dataplane.snapshot.shared import SharedMembers, SharedValues, shared_values
from tieline.definitions.environment import StoredDefinition, with_values
from tieline.definitions.model import ENVIRONMENTS, Definition, Limits
from tieline.definitions.problems import DefinitionError, Problem, shown
from tieline.metering.rates import PriceTable
from tieline.metering.usage.reader import UsageReader
from tieline.ports.apis import ApiRow
from tieline.ports.credentials import SealedCredential
from tieline.schemes.base import Applier, Outgoing
from tieline.schemes.flow import Renewal
from tieline.schemes.registry import SCHEMES, bind, bound_hosts, credential_fields
from tieline.wire import framing
from tieline.wire.guard import Guard
from tieline.wire.pool import Lane
from tieline.wire.tls import TlsIdentity

log = logging.getLogger("tieline.dataplane.snapshot.compiler")

_NOWHERE = Origin("http", "unusable.invalid", 80)
_UNSET = "unset"


@dataclass(frozen=True, slots=True, repr=False)
class OpenedCredential:
    """A credential with the values of its fields, or why they cannot be opened."""

    row: SealedCredential
    fields: Mapping[str, Secret]
    problem: TielineError | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """The price table of each environment, and the state of the lists that they were made of."""

    tables: Mapping[Environment, PriceTable | None]
    state: object


def read_definition(row: ApiRow) -> dict[Environment, ReadEnvironment]:
    """What the definition of ``row`` says in each environment, its calls aside; raises nothing."""
    try:
        stored = StoredDefinition(row.definition)
    except Exception as error:  # noqa: BLE001 -- whatever it is, other APIs are served
        return {name: _unread(row, name, error) for name in ENVIRONMENTS}
    return {name: _read_environment(row, name, stored) for name in ENVIRONMENTS}


def _unread(row: ApiRow, environment: Environment, error: Exception) -> ReadEnvironment:
    return ReadEnvironment(None, AreaTable(()), _unusable(row.name, environment, error))


def _read_environment(row: ApiRow, environment: Environment, stored: StoredDefinition) -> ReadEnvironment:
    try:
        definition = stored.in_environment(environment)
        for auth in definition.auth:
            if auth.scheme not in SCHEMES.names():
                raise DefinitionError([Problem(0, 0, "auth", f"this version has no scheme {shown(auth.scheme)}")])
        return ReadEnvironment(definition, AreaTable(definition.areas, literal=definition.paths == "literal"))
    except Exception as error:  # noqa: BLE001 -- whatever it is, other APIs are served
        return _unread(row, environment, error)


def _unusable(title: str, environment: Environment, error: Exception) -> DefinitionUnusable:
    """Why an API cannot be used, as those who call it are told; the log has the trace of what was not foreseen."""
    if isinstance(error, DefinitionError):
        log.warning("the API %s cannot be used in %s: %s", title, environment, error.problems[0])
        why = f"{error.problems[0]}."
    else:
        log.error("the API %s cannot be used in %s", title, environment, exc_info=error)
        why = "the log of the server says why."
    return DefinitionUnusable(
        f"The definition of {title} cannot be used in {environment}: {why} An operator corrects it."
    )


@dataclass(frozen=True, slots=True)
class Compiler:
    """Makes plans. ``lane`` gives connections of the pool."""

    guard: Guard
    lane: Callable[[Origin, str, TlsIdentity | None], Lane]

    def compile(
        self,
        row: ApiRow,
        read: Mapping[Environment, ReadEnvironment],
        credentials: Sequence[OpenedCredential],
        priced: "Priced",
    ) -> Api:
        """The API of ``row``, as ``read_definition`` read it, with its active ``credentials``, one per environment."""
        by_environment = {each.row.environment: each for each in credentials}
        plans = {name: self._plan(row, name, read[name], by_environment.get(name)) for name in ENVIRONMENTS}
        plans = {name: replace(plan, prices=priced.tables.get(name)) for name, plan in plans.items()}
        lanes = frozenset(plan.lane.key for plan in plans.values() if plan.lane is not None)
        places = _joined([plan.places for plan in plans.values()])
        return Api(row, tuple(each.row for each in credentials), read, plans, places, lanes, priced.state)

    def _plan(
        self, row: ApiRow, environment: Environment, read: ReadEnvironment, credential: OpenedCredential | None
    ) -> Plan:
        if read.definition is None:
            assert read.problem is not None  # it is one or the other
            return self._stand_in(row, environment, read, read.problem)
        try:
            fields = credential.fields if credential is not None else {}
            definition, unfit = _with_values(read.definition, environment, fields)
            opened = credential.problem if credential is not None else None
            problem = opened or _lacking(definition, fields, credential, environment) or unfit
            return self._bound(row, environment, read.table, _Bound(definition, fields, credential, problem))
        except Exception as error:  # noqa: BLE001 -- whatever it is, the other environment and other APIs are served
            return self._stand_in(row, environment, read, _unusable(read.definition.title, environment, error))

    def _stand_in(self, row: ApiRow, environment: Environment, read: ReadEnvironment, problem: TielineError) -> Plan:
        """A plan that only says why there is none."""
        title = read.definition.title if read.definition is not None else row.name
        limits = Limits()
        return Plan(
            api_id=row.id,
            name=row.name,
            title=title,
            environment=environment,
            table=read.table,
            errors=read.definition.errors if read.definition is not None else "tieline",
            places=_places_if_any(read.definition),
            limits=limits,
            first_byte=limits.first_byte,
            origin=_NOWHERE,
            base_path=b"",
            lane=None,
            exit=Exit(self.guard, (), f"{row.id}/{environment}", None, self.lane),
            auth=(),
            request_fate=HeaderFate(frozenset()),
            answer_fate=HeaderFate(frozenset()),
            replaced_query=frozenset(),
            shared=SharedValues((), (), ()),
            reflections=(),
            usage=None,
            prices=None,
            verify=None,
            problem=problem,
            steady=True,
            calls=Calls(None, Belongings({}), problem),
        )

    def _bound(self, row: ApiRow, environment: Environment, table: AreaTable, bound: "_Bound") -> Plan:
        definition, fields, credential, problem = bound.definition, bound.fields, bound.credential, bound.problem
        origin, path = parse_base(definition.base_url)
        base_path = path.encode()
        auth: tuple[Applier | Renewal, ...] = ()
        lane: Lane | None = None
        shared = shared_values(definition, fields)
        if problem is None:
            try:
                auth = bind(definition, fields)
            except CredentialMissing as error:
                problem = error
        appliers = [each for each in auth if isinstance(each, Applier)]
        if shared.members:
            auth = (SharedMembers(shared.members, base_path), *auth)
        hosts = credential.row.hosts if credential is not None else ()
        out = Exit(
            guard=self.guard,
            hosts=hosts or bound_hosts(definition),
            credential=f"{row.id}/{credential.row.id if credential is not None else environment}",
            identity=next((each.tls for each in appliers if each.tls is not None), None),
            lane=self.lane,
        )
        if problem is None:
            problem = _unsendable(definition, origin, shared, appliers)
        if problem is None:
            try:
                lane = out.lane_to(origin)
                lane.limit(definition.limits.connections)
            except TielineError as error:
                problem = error
        places = _places(definition)
        replaced = shared.header_names.union(*(each.replaces for each in appliers))
        dropped = _names(definition.drop_request_headers)
        return Plan(
            api_id=row.id,
            name=row.name,
            title=definition.title,
            environment=environment,
            table=table,
            errors=definition.errors,
            places=places,
            limits=definition.limits,
            first_byte=min(definition.limits.first_byte, definition.limits.total),
            origin=origin,
            base_path=base_path,
            lane=lane,
            exit=out,
            auth=auth,
            request_fate=HeaderFate(
                replaced | dropped | {b"host"},
                own=replaced | dropped | places.headers | _names([each.name for each in definition.headers]),
            ),
            answer_fate=HeaderFate(
                _names(definition.drop_response_headers), addresses=_names(definition.rewrite_response_headers)
            ),
            replaced_query=shared.query_names.union(*(each.replaces_query for each in appliers)),
            shared=shared,
            reflections=reflected(appliers, *hidden_and_shown(definition, fields)),
            usage=UsageReader(definition.usage) if definition.usage is not None else None,
            prices=None,
            verify=definition.verify,
            problem=problem,
            steady=all(isinstance(each, Applier) and _is_steady(each) for each in auth),
            calls=Calls(definition, _belongings(fields, appliers)),
            bounds=bounds_of(definition.limits.traffic, "API", f"{row.id}/{environment}"),
            strict=definition.audit == "strict",
            recorded=definition.record_bodies,
        )


@dataclass(frozen=True, slots=True, repr=False)
class _Bound:
    """A definition with its variables filled in, the credential that goes with it, and why they do not fit, if so."""

    definition: Definition
    fields: Mapping[str, Secret]
    credential: OpenedCredential | None
    problem: TielineError | None


def _lacking(
    definition: Definition,
    fields: Mapping[str, Secret],
    credential: OpenedCredential | None,
    environment: Environment,
) -> TielineError | None:
    """Why the credential is not enough, if so."""
    known = credential_fields(definition)
    missing = [each.name for each in known if each.field.required and each.name not in fields]
    if not missing and (credential is not None or not known):
        return None
    what = f"lacks {', '.join(missing)}" if credential is not None else "is not set"
    return CredentialMissing(
        f"The {environment} credential of {definition.title} {what}. An operator sets it with: "
        f"tieline credential set {definition.api} --environment {environment} --stdin --activate",
        param=missing[0] if missing else None,
    )


def _with_values(
    seen: Definition, environment: Environment, fields: Mapping[str, Secret]
) -> tuple[Definition, TielineError | None]:
    """The definition with its variables filled in, and why the credential's values for them cannot be used, if so.

    Raises DefinitionError where the definition's own values are missing or do not fit.
    """
    private = [name for name, each in seen.variables.items() if each.private]
    given = {name: fields[f"variable.{name}"] for name in private if f"variable.{name}" in fields}
    try:
        texts = {name: value.reveal_bytes().decode() for name, value in given.items()}
        found = with_values(seen, texts)
        if seen.variables and any(SCHEMES.check(auth.scheme, auth.options) for auth in found.auth):
            raise ValueError("an option of auth does not fit with the variables filled in")
        return found, None
    except (TielineError, ValueError) as error:
        problem = CredentialMissing(  # the error itself may show a private value
            f"The {environment} credential of {seen.title} holds a value that does not fit the variables of the "
            "definition. An operator sets it again.",
            detail=f"{type(error).__name__} with {sorted(given)}",
        )
    found = with_values(seen, dict.fromkeys(private, _UNSET))
    if not private:
        raise DefinitionError([Problem(0, 0, "auth", "an option does not fit with the variables filled in")])
    return found, problem


def _belongings(fields: Mapping[str, Secret], appliers: Sequence[Applier]) -> Belongings:
    headers = frozenset[bytes]().union(*(each.replaces for each in appliers))
    query = frozenset[bytes]().union(*(each.replaces_query for each in appliers))
    return Belongings(fields, *(frozenset(name.decode("latin-1") for name in names) for names in (headers, query)))


def _is_steady(applier: Applier) -> bool:
    return applier.constant and not applier.reads_body and not applier.listens


def _unsendable(
    definition: Definition, origin: Origin, shared: SharedValues, appliers: Sequence[Applier]
) -> TielineError | None:
    """Why what would be added to every request cannot go over the wire, if so: it would end its line, or is no name."""
    headers = [(each.name, each.value.reveal_bytes()) for each in shared.headers]
    sample = Outgoing(b"GET", b"/", b"", headers, origin)
    try:
        for applier in appliers:
            if _is_steady(applier):
                applier.apply(sample)
    except CredentialMissing as error:
        return error
    fields = framing.are_fields(sample.headers)
    if fields and framing.is_target(sample.path + b"?" + sample.query):
        return None
    return CredentialMissing(
        f"The credential of {definition.title} holds a character that cannot be sent. An operator sets it again, "
        "without line breaks."
    )


def _names(names: Iterable[str]) -> frozenset[bytes]:
    """Header names as they are compared."""
    return frozenset(name.lower().encode() for name in names)


def _places(definition: Definition) -> KeyPlaces:
    return _joined([SCHEMES.get(each.scheme).places(each.options) for each in definition.auth])


def _places_if_any(definition: Definition | None) -> KeyPlaces:
    """Where app keys may stand though the definition cannot be used, so that it is told why and not 401."""
    try:
        return _places(definition) if definition is not None else KeyPlaces()
    except Exception:  # noqa: BLE001 -- what is wrong with the options is told already
        return KeyPlaces()


def _joined(each: Sequence[KeyPlaces]) -> KeyPlaces:
    return KeyPlaces(
        headers=frozenset().union(*(places.headers for places in each)),
        query=frozenset().union(*(places.query for places in each)),
        basic=any(places.basic for places in each),
        protocol_prefixes=tuple(dict.fromkeys(prefix for places in each for prefix in places.protocol_prefixes)),
        cookies=frozenset().union(*(places.cookies for places in each)),
        scoped=any(places.scoped for places in each),
    )
