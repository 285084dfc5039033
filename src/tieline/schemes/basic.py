"""``basic``: user name and password (RFC 7617). Either may be the key; an API that wants one leaves the other empty.

Option: ``key``, which of the two is the secret (``password`` unless said). A user name is none beside a password, but
is where there is no password, or where ``key`` says so.
"""

import base64
from collections.abc import Mapping, Sequence

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.definitions.schema import Choice, Key, Record
from tieline.schemes import declared
from tieline.schemes.base import Applier, Options, Outgoing, SchemeField

_USERNAME, _PASSWORD = "username", "password"  # names of fields
OPTIONS = Record(
    "basic", (Key("key", Choice((_PASSWORD, _USERNAME)), _PASSWORD, shows="`password`"),), lambda found, _: found["key"]
)


class _BasicApplier(Applier):
    replaces = frozenset({b"authorization"})

    def __init__(self, username: bytes, password: bytes, secrets: Sequence[Secret]) -> None:
        self._value = Secret(b"Basic " + base64.b64encode(username + b":" + password))
        self._secrets = secrets

    def apply(self, outgoing: Outgoing) -> None:
        outgoing.headers.append((b"Authorization", self._value.reveal_bytes()))

    def secrets(self) -> Sequence[Secret]:
        return (self._value, *self._secrets)


class Basic:
    """HTTP Basic authentication."""

    name = "basic"
    sentence = "A user name and a password; either may be the key."

    def fields(self, options: Options) -> Sequence[SchemeField]:
        beside = _PASSWORD if declared.read(OPTIONS, options) == _PASSWORD else None
        return (
            SchemeField(_USERNAME, "User name", required=False, public_beside=beside),
            SchemeField(_PASSWORD, "Password", required=False),
        )

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options)

    def places(self, options: Options) -> KeyPlaces:  # the interface
        return KeyPlaces(headers=frozenset({b"authorization"}), basic=True)

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        given = {name: value for name, value in secrets.items() if value}
        hidden = [given[each.name] for each in self.fields(options) if each.name in given and each.is_secret(given)]
        username, password = (given[name].reveal_bytes() if name in given else b"" for name in (_USERNAME, _PASSWORD))
        return _BasicApplier(username, password, hidden)
