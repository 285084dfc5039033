"""``oauth1``: requests signed for a consumer and a token (RFC 5849).

Options: ``signature_method`` (HMAC-SHA1 unless said), ``in`` (header, query or body; header unless said), ``realm``
(for the header), ``body_hash`` (true: bodies that are no form are signed by ``oauth_body_hash``). With ``sign_in``
(``request_url``, ``authorize_url``, ``token_url``) a person signs in and the token is theirs, and ``renew_on`` says
what in an answer calls for a new sign-in; else the credential holds the token.

The pairs of a form are part of what is signed; other bodies are not, and are streamed unless ``body_hash`` is on.
"""

import re
import secrets as randomness
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tieline.access.appkey import KeyPlaces
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.core.urls import host_of
from tieline.definitions.schema import Choice, Cursor, Flag, Key, Record, Text
from tieline.schemes import declared
from tieline.schemes.base import Applier, Headers, Options, Outgoing, SchemeField, media_type, without_pairs
from tieline.schemes.flow import Flow, IssuerAnswer, IssuerRefused, IssuerRequest, SignIn, Token
from tieline.schemes.issuer_url import IssuerUrl
from tieline.schemes.oauth1_signature import (
    METHODS,
    PLAINTEXT,
    OAuth1Signer,
    UnusableKeyError,
    base_string,
    body_hash,
    encoded,
    pairs_of,
    takes_private_key,
)
from tieline.schemes.signal import OPTION as RENEW_ON
from tieline.schemes.signal import Signal, check_signal, signal_of

_FORM = b"application/x-www-form-urlencoded"
_OWN = frozenset(
    {
        b"oauth_consumer_key",
        b"oauth_token",
        b"oauth_signature_method",
        b"oauth_signature",
        b"oauth_timestamp",
        b"oauth_nonce",
        b"oauth_version",
        b"oauth_body_hash",
    }
)
_NONE = Secret(b"")
_ACCOUNTS = ("screen_name", "username", "fullname", "user_id", "encoded_user_id", "user_nsid")
_SECONDS = re.compile(r"[0-9]{1,9}")
_REALM = re.compile(r"[ !#-\[\]-~]*")
Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class OAuth1Sources:
    """Where the time, in seconds since the epoch, and nonces come from."""

    clock: Callable[[], float] = time.time
    nonce: Callable[[], str] = lambda: randomness.token_hex(16)


_LIVE = OAuth1Sources()


@dataclass(frozen=True, slots=True, repr=False)
class Party:
    """Who signs: the consumer with its token, if it has one yet, and the means to sign."""

    consumer_key: bytes
    token: bytes
    signer: OAuth1Signer
    sources: OAuth1Sources

    def protocol(self, *more: Pair) -> list[Pair]:
        """The protocol parameters of one request, without the signature (RFC 5849 section 3.1)."""
        pairs = [
            (b"oauth_consumer_key", self.consumer_key),
            (b"oauth_signature_method", self.signer.method.encode()),
            (b"oauth_timestamp", str(int(self.sources.clock())).encode()),
            (b"oauth_nonce", self.sources.nonce().encode()),
            (b"oauth_version", b"1.0"),
        ]
        if self.token:
            pairs.append((b"oauth_token", self.token))
        return [*pairs, *more]

    def sign(self, outgoing: Outgoing, protocol: Sequence[Pair], form: Sequence[Pair]) -> list[Pair]:
        """``protocol`` with its signature; ``form`` are the pairs of the body, where that is a form."""
        pairs = [*pairs_of(outgoing.query), *form, *protocol]
        base = base_string(outgoing.method, outgoing.origin, outgoing.path, pairs)
        return [*protocol, (b"oauth_signature", self.signer.sign(base))]


def authorization(pairs: Sequence[Pair], realm: str | None = None) -> bytes:
    """The value of ``Authorization`` that holds ``pairs`` (RFC 5849 section 3.5.1)."""
    fields = [encoded(name) + b'="' + encoded(value) + b'"' for name, value in pairs]
    if realm is not None:
        fields.insert(0, f'realm="{realm}"'.encode())
    return b"OAuth " + b", ".join(fields)


@dataclass(frozen=True, slots=True)
class SignInUrls:
    """Where a person's token is asked for (RFC 5849 section 2)."""

    request_url: str
    authorize_url: str
    token_url: str


@dataclass(frozen=True, slots=True)
class OAuth1Setup:
    """The options as values."""

    signature_method: str
    place: str
    realm: str | None
    body_hash: bool
    sign_in: SignInUrls | None


def _realm(text: str) -> str:
    if _REALM.fullmatch(text) is None:
        raise ValueError("use printable ASCII without quotes and backslashes")
    return text


def _setup(found: Mapping[str, Any], place: Cursor) -> OAuth1Setup:
    if found[RENEW_ON] is not None and found["sign_in"] is None:
        place.key(RENEW_ON).problem("has a meaning with sign_in only; a token that is given is never renewed")
    names = ("signature_method", "realm", "body_hash", "sign_in")
    return OAuth1Setup(place=found["in"], **{name: found[name] for name in names})


_SIGN_IN = Record(
    "sign_in",
    tuple(Key(name, declared.URL) for name in ("request_url", "authorize_url", "token_url")),
    lambda found, _: SignInUrls(**found),
)
OPTIONS = Record(
    "oauth1",
    (
        Key("signature_method", Choice(METHODS), METHODS[0]),
        Key("in", Choice(("header", "query", "body")), "header"),
        Key("realm", Text("text", _realm), None),
        Key("body_hash", Flag(), default=False),
        Key("sign_in", _SIGN_IN, None),
        declared.RENEW_ON,
    ),
    _setup,
)


class _OAuth1Applier(Applier):
    replaces = frozenset({b"authorization"})
    replaces_query = _OWN
    constant = False
    reads_body = True

    def __init__(self, party: Party, setup: OAuth1Setup) -> None:
        self._party = party
        self._place = setup.place
        self._realm = setup.realm
        self._hashes_body = setup.body_hash

    def wants_body(self, headers: Headers) -> bool:
        return self._place == "body" or self._hashes_body or media_type(headers) == _FORM

    def apply(self, outgoing: Outgoing) -> None:
        is_form = media_type(outgoing.headers) == _FORM
        if self._place == "body" and not is_form:
            raise CredentialMissing(
                "This API takes its OAuth parameters in a form, and the request has none. Send a body of "
                f"Content-Type {_FORM.decode()}."
            )
        if is_form:
            outgoing.body = without_pairs(outgoing.body or b"", _OWN)
        body = outgoing.body or b""
        more = []
        if self._hashes_body and not is_form:
            more.append((b"oauth_body_hash", body_hash(self._party.signer.method, body)))
        signed = self._party.sign(outgoing, self._party.protocol(*more), pairs_of(body) if is_form else ())
        if self._place == "header":
            outgoing.headers.append((b"Authorization", authorization(signed, self._realm)))
            return
        written = b"&".join(encoded(name) + b"=" + encoded(value) for name, value in signed)
        if self._place == "query":
            outgoing.add_query(written)
        else:
            outgoing.body = body + b"&" + written if body else written

    def secrets(self) -> Sequence[Secret]:
        party = self._party
        sent = [party.token, encoded(party.token)]
        if party.signer.method == PLAINTEXT:
            sent += [party.signer.shared, encoded(party.signer.shared)]
        return [Secret(each) for each in dict.fromkeys(sent) if each]


class OAuth1:
    """OAuth 1.0, with a token that is given or one that a person signs in for."""

    name = "oauth1"
    sentence = "Requests signed with OAuth 1.0, for a token that you have or a person who signs in."

    def __init__(self, sources: OAuth1Sources = _LIVE) -> None:
        self._sources = sources

    def fields(self, options: Options) -> Sequence[SchemeField]:
        found = [SchemeField("consumer_key", "Consumer key", secret=False)]
        if takes_private_key(_read(options).signature_method):
            found.append(SchemeField("private_key", "Private key (PEM)", multiline=True))
        else:
            found.append(SchemeField("consumer_secret", "Consumer secret"))
        if not self.renews(options):
            found += [
                SchemeField("token", "Token", required=False),
                SchemeField("token_secret", "Token secret", required=False),
            ]
        return found

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options) + check_signal(options)

    def places(self, options: Options) -> KeyPlaces:
        if options.get("in") == "query":
            return KeyPlaces(query=frozenset({b"oauth_consumer_key"}))
        return KeyPlaces(headers=frozenset({b"authorization"}))

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        token, token_secret = secrets.get("token", _NONE), secrets.get("token_secret", _NONE)
        return _OAuth1Applier(self._party(options, secrets, token, token_secret), _read(options))

    def check_values(self, options: Options, secrets: Mapping[str, Secret]) -> None:
        self._party(options, secrets)

    # -- with a person's token

    def renews(self, options: Options) -> bool:
        return options.get("sign_in") is not None

    def needs_sign_in(self, options: Options) -> bool:
        return True

    def hosts(self, options: Options) -> Sequence[str]:
        urls = _urls(options)
        return tuple(dict.fromkeys(host_of(each) for each in (urls.request_url, urls.token_url)))

    def signal(self, options: Options) -> Signal:
        return signal_of(options)

    def renew(self, options: Options, secrets: Mapping[str, Secret], token: Token | None, now: float) -> Flow[Token]:
        """There is nothing to renew with: a token of OAuth 1.0 is good until it is revoked."""
        raise IssuerRefused("OAuth 1.0 tokens are not renewed. Somebody has to sign in again.", final=True)
        yield  # a flow all the same

    def bind_token(self, options: Options, secrets: Mapping[str, Secret], token: Token) -> Applier:
        token_secret = token.values.get("token_secret", _NONE)  # some providers give an empty one, which is not kept
        party = self._party(options, secrets, token.values["token"], token_secret)
        return _OAuth1Applier(party, _read(options))

    def begin(self, options: Options, secrets: Mapping[str, Secret], back: str, state: str) -> Flow[SignIn]:
        """Temporary credentials (RFC 5849 section 2.1), and where the person allows them (section 2.2)."""
        callback = _with_query(back, state=state)
        url = _urls(options).request_url
        reply = yield self._ask(options, self._party(options, secrets), url, (b"oauth_callback", callback.encode()))
        given = _given(reply)
        if given.get("oauth_callback_confirmed") != "true":
            raise IssuerRefused("The provider did not confirm where to send people back to: it speaks no OAuth 1.0a.")
        where = _with_query(_urls(options).authorize_url, oauth_token=given["oauth_token"])
        return SignIn(where, _token_values(given))

    def finish(
        self, options: Options, secrets: Mapping[str, Secret], context: Mapping[str, Secret], answer: Mapping[str, str]
    ) -> Flow[Token]:
        """The token of who signed in (RFC 5849 section 2.3)."""
        if "oauth_verifier" not in answer:
            raise IssuerRefused("The sign-in was not allowed at the provider. Begin again.", final=True)
        if not compare_digest(answer.get("oauth_token", "").encode(), context["token"].reveal_bytes()):
            raise IssuerRefused("The provider sent the person back with another sign-in's token. Begin again.")
        party = self._party(options, secrets, context["token"], context["token_secret"])
        url = _urls(options).token_url
        reply = yield self._ask(options, party, url, (b"oauth_verifier", answer["oauth_verifier"].encode()))
        given = _given(reply)
        account = next((given[name] for name in _ACCOUNTS if given.get(name)), None)
        lifetime = given.get("oauth_expires_in", "")
        expires = self._sources.clock() + int(lifetime) if _SECONDS.fullmatch(lifetime) else None
        return Token(_token_values(given), expires, account=account)

    def _party(
        self, options: Options, secrets: Mapping[str, Secret], token: Secret = _NONE, token_secret: Secret = _NONE
    ) -> Party:
        consumer_secret, private_key = secrets.get("consumer_secret", _NONE), secrets.get("private_key", _NONE)
        try:
            signer = OAuth1Signer(
                _read(options).signature_method,
                consumer_secret.reveal_bytes(),
                token_secret.reveal_bytes(),
                private_key.reveal_bytes(),
            )
        except UnusableKeyError:
            raise CredentialMissing(
                "The private key of the credential is no RSA key in PEM, or has a password. An operator sets it again.",
                param="private_key",
            ) from None
        return Party(secrets["consumer_key"].reveal_bytes(), token.reveal_bytes(), signer, self._sources)

    def _ask(self, options: Options, party: Party, url: str, pair: Pair) -> IssuerRequest:
        parts = IssuerUrl(url)
        outgoing = Outgoing(b"POST", parts.path, parts.query, [], parts.origin)
        signed = party.sign(outgoing, party.protocol(pair), ())
        return IssuerRequest("POST", url, (("Authorization", authorization(signed, _read(options).realm).decode()),))


def _read(options: Options) -> OAuth1Setup:
    setup: OAuth1Setup = declared.read(OPTIONS, options)
    return setup


def _urls(options: Options) -> SignInUrls:
    urls = _read(options).sign_in
    assert urls is not None  # somebody signs in
    return urls


def _with_query(url: str, **pairs: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs)}"


def _given(reply: IssuerAnswer) -> Mapping[str, str]:
    """The form that a server answers with (RFC 5849 section 2.1)."""
    if reply.status != 200:
        raise IssuerRefused(
            "The provider gave no token. Check consumer key, secret and URLs.", detail=f"it answered {reply.status}"
        )
    given = dict(parse_qsl(reply.body.decode("utf-8", "replace"), keep_blank_values=True))
    if not given.get("oauth_token") or "oauth_token_secret" not in given:
        raise IssuerRefused("The provider's answer holds no token. Check the URLs of sign_in.")
    return given


def _token_values(given: Mapping[str, str]) -> Mapping[str, Secret]:
    return {name: Secret.from_text(given[f"oauth_{name}"]) for name in ("token", "token_secret")}
