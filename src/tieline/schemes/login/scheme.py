"""The scheme ``login`` on the interface of schemes."""

from collections.abc import Mapping, Sequence

from tieline.access.appkey import KeyPlaces
from tieline.core.secret import Secret
from tieline.definitions import template
from tieline.schemes import declared
from tieline.schemes.api_key import ApiKey
from tieline.schemes.base import Applier, Options, Outgoing, SchemeField
from tieline.schemes.flow import Flow, Token
from tieline.schemes.login.jar import Jar
from tieline.schemes.login.options import COOKIES, OPTIONS, login
from tieline.schemes.login.steps import log_in
from tieline.schemes.placement import Several
from tieline.schemes.signal import Signal, check_signal, signal_of

_API_KEY = ApiKey()


class _Cookies(Applier):
    """Sends the login's cookies to the hosts that they are for, in place of the caller's of the same names."""

    def __init__(self, jar: Jar) -> None:
        self._jar = jar

    def apply(self, outgoing: Outgoing) -> None:
        for each in self._jar.held_for(outgoing.origin.host):
            bound = _API_KEY.bind({"in": "cookie", "name": each.name}, {"key": Secret.from_text(each.value)})
            bound.apply(outgoing)

    def secrets(self) -> Sequence[Secret]:
        return [Secret.from_text(value) for value in self._jar.values()]


class _LoggedIn(Several):
    """What a login puts into requests; ``secrets`` are the values in it that are none of the public fields'."""

    def __init__(self, appliers: Sequence[Applier], secrets: Sequence[Secret]) -> None:
        super().__init__(appliers)
        self._secrets = secrets

    def secrets(self) -> Sequence[Secret]:
        return self._secrets


class Login:
    """Log in, then call."""

    name = "login"
    sentence = "Requests that log in, whose answers hold a token or cookie for all others."

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return [each.field for each in login(options).fields]

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options) or check_signal(options)

    def places(self, options: Options) -> KeyPlaces:
        each = [_API_KEY.places(placed.options) for placed in login(options).place]
        return KeyPlaces(
            headers=frozenset[bytes]().union(*(places.headers for places in each)),
            query=frozenset[bytes]().union(*(places.query for places in each)),
            cookies=frozenset[bytes]().union(*(places.cookies for places in each)),
        )

    def renews(self, options: Options) -> bool:  # the interface
        return True

    def needs_sign_in(self, options: Options) -> bool:  # the interface
        return False

    def hosts(self, options: Options) -> Sequence[str]:
        return list(dict.fromkeys(step.host for step in login(options).steps))

    def signal(self, options: Options) -> Signal:
        return signal_of(options)

    def renew(self, options: Options, secrets: Mapping[str, Secret], token: Token | None, now: float) -> Flow[Token]:
        return log_in(login(options), secrets, now)

    def bind_token(self, options: Options, secrets: Mapping[str, Secret], token: Token) -> Applier:
        said = login(options)
        texts = {name: secret.reveal_bytes().decode() for name, secret in {**token.values, **secrets}.items()}
        public = {each.name for each in said.fields if not each.secret}
        appliers: list[Applier] = []
        hidden = [Secret.from_text(texts[name]) for name in said.placed_names() if name not in public]
        for placed in said.place:
            parsed = template.parse(placed.value)
            bound = _API_KEY.bind(placed.options, {"key": Secret.from_text(parsed.render_text(texts))})
            appliers.append(bound)
            hidden += [] if public.issuperset(parsed.names()) else bound.secrets()
        if said.cookies:
            cookies = _Cookies(Jar.opened(token.values[COOKIES]))
            appliers.append(cookies)
            hidden += cookies.secrets()
        return _LoggedIn(appliers, hidden)
