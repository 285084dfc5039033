"""The options of ``oauth2`` and what they say as values. Knows no request and no answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tieline.definitions import values
from tieline.definitions.schema import Choice, Cursor, Data, Flag, Key, Many, Record, Text
from tieline.definitions.sections import bounded
from tieline.schemes import claims, declared, expiry, jose, placement
from tieline.schemes.base import Options
from tieline.schemes.declared import DeclaredField
from tieline.schemes.mtls import Presentation

CODE: Final = "authorization_code"
CLIENT: Final = "client_credentials"
PASSWORD: Final = "password"  # noqa: S105  # a grant's name
REFRESH: Final = "refresh_token"
ASSERTION: Final = "jwt_bearer"
DEVICE: Final = "device_code"
EXCHANGE: Final = "token_exchange"
GRANTS: Final = (CODE, CLIENT, PASSWORD, REFRESH, ASSERTION, DEVICE, EXCHANGE)
BY_PERSON: Final = frozenset({CODE, DEVICE})
AUTHENTICATIONS: Final = ("basic", "basic_raw", "post", "private_key_jwt", "client_secret_jwt", "mtls", "none")

_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"  # noqa: S105  # a name, RFC 8693 section 3
_OWN_AUTHORIZE = frozenset(
    {"client_id", "redirect_uri", "response_type", "state", "code_challenge", "code_challenge_method"}
)
_OWN_TOKEN = frozenset(
    {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "code", "code_verifier"}
    | {"redirect_uri", "refresh_token", "username", "password", "assertion", "device_code", "subject_token"}
)
_DEFAULT_CLAIMS = {"iss": "<issuer>", "sub": "<subject>", "iat": "<now>", "exp": "<now+300>", "jti": "<uuid>"}


@dataclass(frozen=True, slots=True)
class Profile:
    """Where it is told who signed in, and the paths of id and e-mail address there."""

    url: str
    id: str | None
    email: str | None


@dataclass(frozen=True, slots=True)
class Assertion:
    """The JWT of the grant ``jwt_bearer``: its algorithm, and templates of header and claims."""

    algorithm: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    fields: tuple[DeclaredField, ...]

    def names(self) -> Sequence[str]:
        """The credential's fields that the templates name."""
        return claims.names([self.header, self.claims])


@dataclass(frozen=True, slots=True)
class AnswerPaths:
    """Where an answer of the token endpoint holds the token, the next refresh token, its end and its scopes."""

    token: str
    refresh: str
    expires: str
    scope: str

    @property
    def token_type(self) -> str:
        """Where the type of the token is: beside it."""
        return _beside(self.token, "token_type")


STANDARD_PATHS: Final = AnswerPaths("access_token", "refresh_token", "expires_in", "scope")  # RFC 6749 section 5.1


@dataclass(frozen=True, slots=True)
class OAuth2Setup:
    """The options as values; ``lifetime`` in seconds.

    ``refresh_paths`` are tried in order: the first that lead to a token are those of the answer.
    """

    grant: str
    token_url: str
    authorize_url: str | None
    refresh_url: str | None
    device_url: str | None
    client_authentication: str
    client_id_parameter: str
    client_secret_parameter: str
    client_algorithm: str
    client_audience: str | None
    certificate: Presentation
    certificate_bound: bool
    pkce: bool
    scopes: tuple[str, ...]
    scope_separator: str
    audience: tuple[str, ...]
    resource: tuple[str, ...]
    access_type: str | None
    issuer: str | None
    authorize_parameters: Mapping[str, str]
    token_parameters: Mapping[str, str]
    token_headers: Mapping[str, str]
    refresh_parameters: Mapping[str, str]
    refresh_headers: Mapping[str, str]
    token_body: str
    paths: AnswerPaths
    refresh_paths: tuple[AnswerPaths, ...]
    expires_unit: str
    lifetime: float | None
    assertion: Assertion
    subject_token_type: str
    actor_token_type: str
    requested_token_type: str | None
    profile: Profile | None

    @property
    def scope(self) -> str:
        """The scopes as they are sent."""
        return self.scope_separator.join(self.scopes)

    def urls(self) -> Sequence[str]:
        """Every URL that something is asked of."""
        profile = self.profile.url if self.profile is not None else None
        found = (self.token_url, self.authorize_url, self.refresh_url, self.device_url, profile)
        return [url for url in found if url is not None]


def setup(options: Options) -> OAuth2Setup:
    """What ``options``, in which nothing is wrong, say."""
    found: OAuth2Setup = declared.read(OPTIONS, options)
    return found


def _assertion(found: Mapping[str, Any], place: Cursor) -> Assertion:
    for name in ("header", "claims"):
        if not isinstance(found[name], Mapping):
            place.key(name).expected("a mapping")
            return Assertion("RS256", {}, {}, ())
    made = Assertion(**found)
    known = {"issuer", "subject", "key_id", *(each.name for each in made.fields)}
    for problem in claims.strangers([made.header, made.claims], known):
        place.problem(problem)
    return made


def _setup(found: Mapping[str, Any], place: Cursor) -> OAuth2Setup:
    grant = found["grant"]
    if grant == CODE and found["authorize_url"] is None:
        place.problem("authorize_url is missing; people are sent there to sign in")
    if grant == DEVICE and found["device_url"] is None:
        place.problem("device_url is missing; the code that people enter comes from there")
    _refuse_own(found, place)
    default = "none" if grant == ASSERTION else "basic"
    authentication = found["client_authentication"] or default
    shared = authentication == "client_secret_jwt"
    algorithm = found["client_algorithm"] or ("HS256" if shared else "RS256")
    if authentication.endswith("_jwt") and (algorithm in jose.SYMMETRIC) is not shared:
        place.problem(f"client_algorithm {algorithm} does not go with {authentication}; choose another")
    if grant == CLIENT and authentication == "none":
        place.problem("client_authentication none cannot get a token for the client itself; choose another")
    paths = _paths(found)
    refreshed = found["refresh_answer"]
    made = {
        "client_authentication": authentication,
        "client_algorithm": algorithm,
        "paths": paths,
        "refresh_paths": (refreshed,) if refreshed is not None else (paths, STANDARD_PATHS),
    }
    rest = {key.name for key in (*placement.KEYS, declared.RENEW_ON, *_PATHS)} | {"refresh_answer"}
    return OAuth2Setup(**{name: value for name, value in found.items() if name not in rest} | made)


def _beside(path: str, name: str) -> str:
    """The path of the member ``name`` of the object that ``path`` leads into."""
    below = path.rpartition(".")[0]
    return f"{below}.{name}" if below else name


def _paths(found: Mapping[str, Any]) -> AnswerPaths:
    token = found["token_path"]
    return AnswerPaths(
        token,
        found["refresh_path"] or _beside(token, STANDARD_PATHS.refresh),
        found["expires_path"] or _beside(token, STANDARD_PATHS.expires),
        found["scope_path"] or _beside(token, STANDARD_PATHS.scope),
    )


def _refuse_own(found: Mapping[str, Any], place: Cursor) -> None:
    """Note further parameters that would take the place of the protocol's own."""
    for option, own in (
        ("authorize_parameters", _OWN_AUTHORIZE),
        ("token_parameters", _OWN_TOKEN),
        ("refresh_parameters", _OWN_TOKEN),
    ):
        for name in found[option]:
            if name in own:
                place.key(option).problem(f"{name} is the protocol's own parameter; remove it")


_CERTIFICATE = Record(
    "certificate",
    (
        Key("format", Choice(("pem", "pkcs12")), "pem"),
        Key("server_name", declared.HOST, None, shows="the host"),
    ),
    lambda found, _: Presentation(**found),
)
_PROFILE = Record(
    "profile",
    (Key("url", declared.URL), Key("id", declared.PATH, None), Key("email", declared.PATH, None)),
    lambda found, _: Profile(**found),
)
_ASSERTION = Record(
    "assertion",
    (
        Key("algorithm", Choice(jose.ALGORITHMS), "RS256"),
        Key("header", Data("mapping of templates"), {"typ": "JWT"}, shows="`{typ: JWT}`"),
        Key("claims", Data("mapping of templates"), _DEFAULT_CLAIMS, shows="issuer, subject, times, a fresh id"),
        Key("fields", declared.FIELDS, ()),
    ),
    _assertion,
)
_NO_ASSERTION = Assertion("RS256", {"typ": "JWT"}, _DEFAULT_CLAIMS, ())
_PATHS = (
    Key("token_path", declared.PATH, STANDARD_PATHS.token),
    Key("refresh_path", declared.PATH, None, shows="`refresh_token` beside the token"),
    Key("expires_path", declared.PATH, None, shows="`expires_in` beside the token"),
    Key("scope_path", declared.PATH, None, shows="`scope` beside the token"),
)
_REFRESH_ANSWER = Record("refresh answer", _PATHS, lambda found, _: _paths(found))
_SCOPE = Text("text without blanks", values.header_value, most=500)
_LONG = bounded("1s", "3650d")

OPTIONS = Record(
    "oauth2",
    (
        Key("grant", Choice(GRANTS), CODE),
        Key("token_url", declared.URL),
        Key("authorize_url", declared.URL, None),
        Key("refresh_url", declared.URL, None, shows="`token_url`"),
        Key("device_url", declared.URL, None),
        Key("client_authentication", Choice(AUTHENTICATIONS), None, shows="`basic`; `none` with jwt_bearer"),
        Key("client_id_parameter", declared.PAIR_NAME, "client_id"),
        Key("client_secret_parameter", declared.PAIR_NAME, "client_secret"),
        Key("client_algorithm", Choice(jose.ALGORITHMS), None, shows="`RS256`, or `HS256` with client_secret_jwt"),
        Key("client_audience", Text("text", values.header_value), None, shows="`token_url`"),
        Key("certificate", _CERTIFICATE, Presentation("pem", None), shows="PEM"),
        Key("certificate_bound", Flag(), default=False),
        Key("pkce", Flag(), default=True),
        Key("scopes", Many(_SCOPE, 200), ()),
        Key("scope_separator", Text("text of one line", str, most=3), " ", shows="a blank"),
        Key("audience", Many(Text("text", values.header_value), 20, single=True), ()),
        Key("resource", Many(declared.IDENTIFIER, 20, single=True), ()),
        Key("access_type", Choice(("offline", "online")), None),
        Key("issuer", declared.IDENTIFIER, None, shows="not checked"),
        Key("authorize_parameters", declared.PAIRS, {}),
        Key("token_parameters", declared.PAIRS, {}),
        Key("token_headers", declared.HEADERS, {}),
        Key("refresh_parameters", declared.PAIRS, {}),
        Key("refresh_headers", declared.HEADERS, {}),
        Key("token_body", Choice(("form", "json")), "form"),
        *_PATHS,
        Key("refresh_answer", _REFRESH_ANSWER, None, shows="the paths above, else the standard's"),
        Key("expires_unit", Choice(expiry.UNITS), "seconds"),
        Key("lifetime", _LONG, None, shows="until the API refuses it"),
        Key("assertion", _ASSERTION, _NO_ASSERTION, shows="issuer, subject, times, a fresh id"),
        Key("subject_token_type", Text("text", values.header_value), _TOKEN_TYPE + "access_token"),
        Key("actor_token_type", Text("text", values.header_value), _TOKEN_TYPE + "access_token"),
        Key("requested_token_type", Text("text", values.header_value), None, shows="the issuer's choice"),
        Key("profile", _PROFILE, None),
        declared.RENEW_ON,
        *placement.KEYS,
    ),
    _setup,
)
