"""``basic``: user name and password (RFC 7617). Either may be the key; an API that wants one leaves the other empty."""

import base64
from collections.abc import Mapping, Sequence

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.schemes.base import Applier, Field, Options, Outgoing, unknown_options


class _BasicApplier(Applier):
    replaces = frozenset({b"authorization"})

    def __init__(self, username: bytes, password: bytes) -> None:
        self._value = Secret(b"Basic " + base64.b64encode(username + b":" + password))
        self._key = Secret(password or username)  # an API that wants one value only takes its key as the user name
        self.shown = (Secret(username),) if password and username else ()

    def apply(self, outgoing: Outgoing) -> None:
        outgoing.headers.append((b"Authorization", self._value.reveal_bytes()))

    def secrets(self) -> Sequence[Secret]:
        return self._value, self._key


class Basic:
    """HTTP Basic authentication."""

    name = "basic"
    sentence = "A user name and a password; either may be the key."

    def fields(self, options: Options) -> Sequence[Field]:  # the interface
        return (
            Field("username", "User name", required=False),
            Field("password", "Password", required=False),
        )

    def check(self, options: Options) -> list[str]:
        return unknown_options(options, frozenset())

    def places(self, options: Options) -> KeyPlaces:  # the interface
        return KeyPlaces(headers=frozenset({b"authorization"}), basic=True)

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:  # the interface
        empty = Secret(b"")
        return _BasicApplier(
            secrets.get("username", empty).reveal_bytes(), secrets.get("password", empty).reveal_bytes()
        )
