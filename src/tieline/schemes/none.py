"""``none``: public APIs, and those whose secrets are private headers or parameters."""

from collections.abc import Mapping, Sequence

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.schemes.base import Applier, Options, Outgoing, SchemeField, unknown_options


class _Nothing(Applier):
    def apply(self, outgoing: Outgoing) -> None:
        """Leave the request as it is."""

    def secrets(self) -> Sequence[Secret]:
        return ()


class NoScheme:
    """Adds nothing to a request."""

    name = "none"
    sentence = "The API needs no key."

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return ()

    def check(self, options: Options) -> list[str]:
        return unknown_options(options, frozenset())

    def places(self, options: Options) -> KeyPlaces:  # the interface
        return KeyPlaces()

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:  # the interface
        return _Nothing()
