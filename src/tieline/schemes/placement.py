"""Where a token goes in a request: the options ``in``, ``name`` and ``format`` of every scheme that gets or mints one.

They are those of ``api_key``, but for the default: ``Authorization: Bearer <key>``. The schemes that use it
get or mint the token and hand it in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.definitions.schema import Data, Key
from tieline.schemes.api_key import ApiKey
from tieline.schemes.base import Applier, Headers, Options, Outgoing

_API_KEY = ApiKey()
_DEFAULT = "Authorization"

KEYS = (
    Key("in", Data("`header`, `query`, `cookie`, `body`"), None, shows="`header`"),
    Key("name", Data("name of the header, query pair or cookie"), None, shows="`Authorization`"),
    Key("format", Data("text with `<key>`"), None, shows="`Bearer <key>` in Authorization, else `<key>`"),
)


class Several(Applier):
    """Several appliers as one, in order."""

    def __init__(self, appliers: Sequence[Applier]) -> None:
        self.replaces = frozenset[bytes]().union(*(each.replaces for each in appliers))
        self.replaces_query = frozenset[bytes]().union(*(each.replaces_query for each in appliers))
        self.constant = all(each.constant for each in appliers)
        self.reads_body = any(each.reads_body for each in appliers)
        self._appliers = tuple(appliers)

    def wants_body(self, headers: Headers) -> bool:
        return any(each.wants_body(headers) for each in self._appliers)

    def apply(self, outgoing: Outgoing) -> None:
        for each in self._appliers:
            each.apply(outgoing)

    def secrets(self) -> Sequence[Secret]:
        return [secret for each in self._appliers for secret in each.secrets()]


def check(options: Options) -> list[str]:
    """What is wrong with where the token shall go, a sentence each."""
    return _API_KEY.check(_chosen(options))


def places(options: Options) -> KeyPlaces:
    """Where the API's own clients put the token."""
    return _API_KEY.places(_chosen(options))


def bind(options: Options, token: Secret) -> Applier:
    """An applier that puts ``token`` there."""
    return _API_KEY.bind(_chosen(options), {"key": token})


def _chosen(options: Options) -> Mapping[str, Any]:
    chosen = {key.name: options[key.name] for key in KEYS if options.get(key.name) is not None}
    if chosen.get("in", "header") == "header" and str(chosen.get("name", _DEFAULT)).lower() == _DEFAULT.lower():
        chosen.setdefault("format", "Bearer <key>")
    return chosen
