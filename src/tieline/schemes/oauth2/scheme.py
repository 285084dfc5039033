"""The scheme ``oauth2`` on the interface of schemes: which flow does what. The protocol is in the modules beside it."""

import time
from collections.abc import Callable, Mapping, Sequence

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.core.urls import host_of
from tieline.schemes import declared, placement
from tieline.schemes.base import Applier, Options, SchemeField
from tieline.schemes.flow import DeviceSignIn, Flow, IssuerRefused, Pending, SignIn, Token
from tieline.schemes.mtls import identity
from tieline.schemes.oauth2 import device, grants, signin
from tieline.schemes.oauth2.client import check_client, client_fields
from tieline.schemes.oauth2.options import BY_PERSON, OPTIONS, setup
from tieline.schemes.signal import Signal, check_signal, signal_of


class OAuth2:
    """OAuth 2.0; ``clock`` gives seconds since the epoch."""

    name = "oauth2"
    sentence = "A token from an authorization server, for the API or for each person (OAuth 2.0)."

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        said = setup(options)
        return (*client_fields(said), *grants.grant_fields(said))

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options) or [*placement.check(options), *check_signal(options)]

    def check_values(self, options: Options, secrets: Mapping[str, Secret]) -> None:
        said = setup(options)
        check_client(said, secrets)
        grants.check_grant(said, secrets)

    def places(self, options: Options) -> KeyPlaces:
        return placement.places(options)

    def renews(self, options: Options) -> bool:  # the interface
        return True

    def needs_sign_in(self, options: Options) -> bool:
        return setup(options).grant in BY_PERSON

    def hosts(self, options: Options) -> Sequence[str]:
        return list(dict.fromkeys(host_of(url) for url in setup(options).urls()))

    def signal(self, options: Options) -> Signal:
        return signal_of(options)

    def renew(self, options: Options, secrets: Mapping[str, Secret], token: Token | None, now: float) -> Flow[Token]:
        return grants.renew(setup(options), secrets, token, now)

    def bind_token(self, options: Options, secrets: Mapping[str, Secret], token: Token) -> Applier:
        said = setup(options)
        applier = placement.bind(options, token.values["access"])
        if said.certificate_bound and said.client_authentication == "mtls":
            applier.tls = identity(said.certificate, secrets)  # RFC 8705 section 3
        return applier

    def begin(self, options: Options, secrets: Mapping[str, Secret], back: str, state: str) -> Flow[SignIn]:
        said = setup(options)
        if said.authorize_url is None:
            raise IssuerRefused("This API has no sign-in by link. Add authorize_url to its definition.")
        yield from ()  # nothing is asked of the issuer before the person goes there
        return signin.begin(said, secrets, back, state)

    def finish(
        self, options: Options, secrets: Mapping[str, Secret], context: Mapping[str, Secret], answer: Mapping[str, str]
    ) -> Flow[Token]:
        return signin.finish(setup(options), options, secrets, context, answer, self._clock())

    def begin_device(self, options: Options, secrets: Mapping[str, Secret]) -> Flow[DeviceSignIn]:
        said = setup(options)
        device.refuse(said)
        return device.begin(said, secrets, self._clock())

    def poll_device(
        self, options: Options, secrets: Mapping[str, Secret], context: Mapping[str, Secret]
    ) -> Flow[Token | Pending]:
        said = setup(options)
        found = yield from device.poll(said, secrets, context, self._clock())
        if isinstance(found, Pending):
            return found
        return (yield from signin.with_account(said, options, found))
