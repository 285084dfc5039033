"""A call compiled once and filled at every run: the door of this package.

Templates compute nothing: a value is checked against its parameter, then put where its slot stands in that place's own
encoding. Results are bounded: 64 KiB of path and query each, 32 KiB of a header, 16 MiB of a body besides its files.
"""

from collections.abc import Mapping
from typing import Any

from tieline.core.secret import Secret
from tieline.definitions import template
from tieline.definitions.fill.body import compile_body
from tieline.definitions.fill.pairs import (
    HEADERS_MOST,
    Header,
    QueryPair,
    headers_too_large,
    query_pairs,
    refuse_owned,
    render_pairs,
)
from tieline.definitions.fill.request import FilePart, Filled
from tieline.definitions.fill.scope import SlotScope, Surroundings, ValueForms
from tieline.definitions.fill.target import TARGET_MOST, PathTemplate, UrlTemplate, uri_too_long
from tieline.definitions.fill.values import read_values, rule
from tieline.definitions.model import Call
from tieline.definitions.template import Slot

_NOTHING: Mapping[str, Any] = {}


class CompiledCall:
    """A call made ready; it does not change, and may be filled by many at once."""

    __slots__ = ("_body", "_fixed", "_headers", "_is_path", "_members", "_method", "_query", "_rules", "_target",
                 "_variables")  # fmt: skip

    def __init__(self, call: Call, surroundings: Surroundings) -> None:
        self._method = call.method
        self._rules = {name: rule(name, parameter) for name, parameter in call.parameters.items()}
        scope = SlotScope(self._rules, surroundings)
        written = call.path if call.path is not None else call.url or ""
        text, _, query = written.partition("?")
        self._target: PathTemplate | UrlTemplate = (
            PathTemplate(text, scope) if call.path is not None else UrlTemplate(text, scope)
        )
        self._is_path = isinstance(self._target, PathTemplate)
        self._fixed = self._target.static if isinstance(self._target, PathTemplate) else None
        slots = _slots(call)
        named = {place: [name for name, each in call.parameters.items() if each.place == place and name not in slots]
                 for place in ("query", "header", "body")}  # fmt: skip
        self._query = (*query_pairs(query, scope), *_pairs(call, named["query"], scope))
        self._headers = tuple(Header(each.name, each.value, scope) for each in call.headers)
        self._headers += tuple(Header(name, f"<{name}>", scope) for name in named["header"])
        self._body = compile_body(call.body, named["body"], scope)
        self._variables = {name: surroundings.variables[name] for name in slots if name in surroundings.variables}
        self._members = surroundings.members if self._body is not None else ()

    def fill(
        self,
        given: Mapping[str, Any],
        private: Mapping[str, Secret | str] = _NOTHING,
        files: Mapping[str, FilePart] = _NOTHING,
    ) -> Filled:
        """The request with the caller's values ``given`` and ``files`` and the server's ``private`` ones in place.

        Values are JSON as ``read_parameters`` or ``coerce_text`` give it; ``private`` has the credential fields
        ``call.<call>.<parameter>`` by parameter. Raises MissingParameter, InvalidParameter, CredentialMissing,
        UriTooLong, HeadersTooLarge, BodyTooLarge, none of which shows a value.
        """
        values = read_values(self._rules, given, private, files)
        if self._variables:
            values |= self._variables
        run = ValueForms(values)
        target = self._fixed if self._fixed is not None else self._target.render(run)
        is_path = self._is_path
        for member in self._members:
            # Shared values say which paths below the base URL they are for; a full URL is below none.
            if member.parameter.applies(target) if is_path else member.parameter.when is None:
                values[member.key] = member.value
        query = render_pairs(self._query, run, TARGET_MOST, uri_too_long) if self._query else b""
        headers: list[tuple[bytes, bytes]] = []
        for header in self._headers:
            header.add(run, headers)
        if headers and sum(len(name) + len(value) for name, value in headers) > HEADERS_MOST:
            raise headers_too_large()
        return Filled(
            self._method,
            target if is_path else None,
            None if is_path else target,
            query,
            headers,
            self._body(run) if self._body is not None else None,
        )


def compile_call(call: Call, surroundings: Surroundings | None = None) -> CompiledCall:
    """``call`` of a resolved definition, ready to be filled.

    Raises ValueError, with what is wrong and what to do, for a template that no value could fill safely. Definitions
    are checked by this when they are read, so that it fails later only for what the auth scheme owns.
    """
    return CompiledCall(call, surroundings if surroundings is not None else Surroundings())


def fill(
    call: Call,
    given: Mapping[str, Any],
    private: Mapping[str, Secret | str] = _NOTHING,
    files: Mapping[str, FilePart] = _NOTHING,
) -> Filled:
    """Compile and fill in one, for a call that runs once and uses no variables; see ``CompiledCall.fill``."""
    return compile_call(call).fill(given, private, files)


def _pairs(call: Call, named: list[str], scope: SlotScope) -> list[QueryPair]:
    owned = scope.surroundings.query
    for name in (*(pair.name for pair in call.query), *named):
        refuse_owned(name, owned, "query pair")
    pairs = [QueryPair(pair.name, scope.split(pair.value), scope) for pair in call.query]
    return pairs + [QueryPair(name, (Slot(name),), scope) for name in named]


def _slots(call: Call) -> set[str]:
    """The names of all slots of the call."""
    texts: list[Any] = [call.path or call.url or "", *(pair.value for pair in (*call.query, *call.headers))]
    texts += [field.value for field in call.body.fields]
    texts += [call.body.template, call.body.variables]
    return set(template.names_in(texts))
