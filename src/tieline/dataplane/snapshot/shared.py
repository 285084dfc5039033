"""What an API adds to every request of its own accord: shared headers, query pairs, and members of bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tieline.core.json_places import NoPlaceError
from tieline.core.secret import Secret
from tieline.definitions.model import Definition, SharedHeader, SharedParameter
from tieline.schemes.base import Applier, Headers, Outgoing, media_type, without_pairs
from tieline.schemes.json_member import put_member

# What a body is, its sender says; a shared value holds for those who do not.
_ONLY_DEFAULTS = frozenset({b"content-type"})
_FORM = b"application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, repr=False)
class AddedHeader:
    """A shared header, and its value wherever that comes from."""

    shared: SharedHeader
    name: bytes
    value: Secret


@dataclass(frozen=True, slots=True, repr=False)
class AddedPair:
    """A shared parameter as the ``name=value`` that a query or form has, encoded, and its value as it is."""

    shared: SharedParameter
    name: bytes
    value: Secret
    pair: Secret


class SharedMembers(Applier):
    """Shared parameters of JSON and form bodies: each is set, whatever the caller of the relay sent under its name.

    What a call's own template says of a member stays: who wrote the definition wrote both. Other bodies are not read
    and not changed. ``base_path`` is the path of the base URL, which paths begin with.
    """

    constant = False
    reads_body = True

    def __init__(self, members: Sequence[AddedPair], base_path: bytes) -> None:
        self._members = tuple(members)
        self._base_path = base_path

    def wants_body(self, headers: Headers) -> bool:
        kind = media_type(headers)
        return kind == _FORM or _is_json(kind)

    def apply(self, outgoing: Outgoing) -> None:
        kind = media_type(outgoing.headers)
        path = outgoing.path.removeprefix(self._base_path).decode("latin-1")
        for each in self._members:
            if outgoing.body and each.shared.applies(path):
                put = _with_pair if kind == _FORM else _with_member
                outgoing.body = put(outgoing.body, each, replace=not outgoing.templated)

    def secrets(self) -> Sequence[Secret]:
        return tuple(each.value for each in self._members if each.shared.private)


def _with_pair(form: bytes, added: AddedPair, *, replace: bool) -> bytes:
    kept = without_pairs(form, frozenset({added.name}))
    if kept != form and not replace:
        return form
    pair = added.pair.reveal_bytes()
    return kept + b"&" + pair if kept else pair


def _with_member(document: bytes, added: AddedPair, *, replace: bool) -> bytes:
    value = added.value.reveal_bytes().decode(errors="surrogateescape")
    try:
        return put_member(document, (added.shared.name,), value, replace=replace)
    except NoPlaceError:
        return document  # a list, or no JSON at all, has no members


def _is_json(kind: bytes) -> bool:
    return kind == b"application/json" or kind.endswith(b"+json")


@dataclass(frozen=True, slots=True, repr=False)
class SharedValues:
    """The shared values of one environment, of the definition and of its credential."""

    headers: tuple[AddedHeader, ...]
    pairs: tuple[AddedPair, ...]
    members: tuple[AddedPair, ...]

    @property
    def header_names(self) -> frozenset[bytes]:
        """The headers (lower case) that every request gets, so that nobody else's are sent."""
        return frozenset(each.name.lower() for each in self.headers if each.shared.when is None) - _ONLY_DEFAULTS

    @property
    def query_names(self) -> frozenset[bytes]:
        """The query pairs that every request gets."""
        return frozenset(each.name for each in self.pairs if each.shared.when is None)

    def add(self, outgoing: Outgoing, path: bytes) -> None:
        """Add headers and query pairs; ``path`` is the part below the base URL."""
        if self.headers:
            self._add_headers(outgoing, path.decode("ascii"))
        if self.pairs:
            self._add_pairs(outgoing, path.decode("ascii"))

    def _add_headers(self, outgoing: Outgoing, path: str) -> None:
        own = _ONLY_DEFAULTS.intersection(name.lower() for name, _ in outgoing.headers)
        added = [each for each in self.headers if each.shared.applies(path) and each.name.lower() not in own]
        sometimes = {each.name.lower() for each in added if each.shared.when is not None}
        if sometimes:
            outgoing.headers[:] = [pair for pair in outgoing.headers if pair[0].lower() not in sometimes]
        outgoing.headers += [(each.name, each.value.reveal_bytes()) for each in added]

    def _add_pairs(self, outgoing: Outgoing, path: str) -> None:
        added = [each for each in self.pairs if each.shared.applies(path)]
        sometimes = frozenset(each.name for each in added if each.shared.when is not None)
        if sometimes and outgoing.query:
            outgoing.drop_query(sometimes)
        for each in added:
            outgoing.add_query(each.pair.reveal_bytes())


def shared_values(definition: Definition, fields: Mapping[str, Secret]) -> SharedValues:
    """The shared values of ``definition`` with those of ``fields``; a private one without a value is left out."""
    headers = []
    for header in definition.headers:
        value = fields.get(f"header.{header.name}") if header.private else Secret.from_text(header.value or "")
        if value is not None:
            headers.append(AddedHeader(header, header.name.encode(), value))
    pairs: dict[str, list[AddedPair]] = {"query": [], "body": []}
    for each in definition.parameters:
        value = fields.get(f"parameter.{each.name}") if each.private else Secret.from_text(each.value or "")
        if value is not None:
            pair = f"{quote(each.name, safe='')}={quote(value.reveal_bytes(), safe='')}"
            pairs[each.place].append(AddedPair(each, each.name.encode(), value, Secret.from_text(pair)))
    return SharedValues(tuple(headers), tuple(pairs["query"]), tuple(pairs["body"]))
