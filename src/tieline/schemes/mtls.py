"""``mtls``: a client certificate towards the API, its own authorities, another name in its certificate (RFC 8446).

Options: ``format`` (``pem``: certificate and key; ``pkcs12``: one bundle in base64), ``server_name`` (what the API's
certificate is for, where that is not the host). Fields: ``certificate`` (with the chain) and ``key``, or ``bundle``;
``password`` of key or bundle; ``authorities`` (PEM), who alone is trusted then. Adds nothing to a request: the
connection is made as this identity. Other schemes that present a certificate use :func:`identity` too.
"""

import hashlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from tieline.access.appkey import KeyPlaces
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.definitions.schema import Choice, Key, Record
from tieline.schemes import declared
from tieline.schemes.base import Applier, Options, Outgoing, SchemeField
from tieline.schemes.jose import with_lines
from tieline.wire.tls import TlsIdentity

_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)
_PASSWORD = SchemeField("password", "Password of the key", required=False)
_AUTHORITIES = SchemeField("authorities", "Authorities (PEM)", secret=False, multiline=True, required=False)


@dataclass(frozen=True, slots=True)
class Presentation:
    """In which format the certificate is given, and the name that the other side's certificate must be for."""

    format: str
    server_name: str | None


KEYS = (
    Key("format", Choice(("pem", "pkcs12")), "pem"),
    Key("server_name", declared.HOST, None, shows="the host"),
)
OPTIONS = Record("mtls", KEYS, lambda found, _: Presentation(**found))


@dataclass(frozen=True, slots=True)
class _KeyPair:
    """A key and its certificates, the one that is for the key first."""

    key: PrivateKeyTypes
    certificates: Sequence[x509.Certificate]


def identity_fields(presentation: Presentation, *, required: bool) -> tuple[SchemeField, ...]:
    """The credential's fields of a client certificate."""
    if presentation.format == "pkcs12":
        return (SchemeField("bundle", "PKCS#12 in base64", multiline=True, required=required), _PASSWORD, _AUTHORITIES)
    return (
        SchemeField("certificate", "Certificate and chain (PEM)", secret=False, multiline=True, required=required),
        SchemeField("key", "Private key (PEM)", multiline=True, required=required),
        _PASSWORD,
        _AUTHORITIES,
    )


def identity(presentation: Presentation, secrets: Mapping[str, Secret]) -> TlsIdentity:
    """Who Tieline is with these values of :func:`identity_fields`.

    Raises:
        CredentialMissing: a value is no certificate, key or bundle, or they are not of one pair; ``param`` says which.
    """
    given = {name: secret.reveal_bytes() for name, secret in secrets.items() if secret}
    pair = _bundled(given) if presentation.format == "pkcs12" else _paired(given)
    authorities = _authorities(given)
    if pair is None and authorities is None and presentation.server_name is None:
        raise CredentialMissing("Give a certificate and its key, or authorities.", param="certificate")
    certificate = key = None
    if pair is not None:
        certificate = b"".join(each.public_bytes(Encoding.PEM) for each in pair.certificates)
        key = Secret(pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    parts = (certificate or b"", authorities or b"", (presentation.server_name or "").encode())
    print_of_parts = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    return TlsIdentity(print_of_parts, certificate, key, authorities, presentation.server_name)


def _paired(given: Mapping[str, bytes]) -> _KeyPair | None:
    if "certificate" not in given and "key" not in given:
        return None
    for name, other in (("certificate", "key"), ("key", "certificate")):
        if name not in given:
            raise CredentialMissing(f"The {other} is given without its {name}. Give both.", param=name)
    certificates = _certificates(given["certificate"], "certificate")
    try:
        key = load_pem_private_key(with_lines(given["key"]), given.get("password"))
    except _UNREADABLE:
        raise CredentialMissing(
            "The key cannot be read. Give a private key in PEM, and its password if it has one.", param="key"
        ) from None
    return _matched(key, certificates, "key")


def _bundled(given: Mapping[str, bytes]) -> _KeyPair | None:
    if "bundle" not in given:
        return None
    try:
        data = b64decode(b"".join(given["bundle"].split()), validate=True)
        key, certificate, further = pkcs12.load_key_and_certificates(data, given.get("password"))
    except (*_UNREADABLE, Base64Error):
        raise CredentialMissing(
            "The bundle cannot be opened. Give a PKCS#12 file (.p12, .pfx) in base64, and its password.", param="bundle"
        ) from None
    if key is None or certificate is None:
        raise CredentialMissing("The bundle lacks a key or its certificate. Export it again with both.", param="bundle")
    return _matched(key, [certificate, *further], "bundle")


def _matched(key: PrivateKeyTypes, certificates: Sequence[x509.Certificate], field: str) -> _KeyPair:
    own = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fitting = [
        each
        for each in certificates
        if each.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == own
    ]
    if not fitting:
        raise CredentialMissing("The key does not belong to the certificate. Give the two of one pair.", param=field)
    return _KeyPair(key, [fitting[0], *(each for each in certificates if each is not fitting[0])])


def _certificates(text: bytes, field: str) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(with_lines(text))
    except _UNREADABLE:
        raise CredentialMissing(
            f"The {field} cannot be read. Give it in PEM, from -----BEGIN CERTIFICATE----- to its END.", param=field
        ) from None


def _authorities(given: Mapping[str, bytes]) -> bytes | None:
    if "authorities" not in given:
        return None
    found = _certificates(given["authorities"], "authorities")
    return b"".join(each.public_bytes(Encoding.PEM) for each in found)


class _Presented(Applier):
    """Leaves requests alone; the connection is what carries the identity."""

    def __init__(self, tls: TlsIdentity) -> None:
        self.tls = tls

    def apply(self, outgoing: Outgoing) -> None:
        if outgoing.origin.scheme != "https":
            raise CredentialMissing("A client certificate needs TLS. Write the base URL with https.")

    def secrets(self) -> Sequence[Secret]:
        return ()


class Mtls:
    """A client certificate."""

    name = "mtls"
    sentence = "A client certificate and its key, or authorities of the API's own."

    def fields(self, options: Options) -> Sequence[SchemeField]:  # the interface
        return identity_fields(declared.read(OPTIONS, options), required=False)

    def check(self, options: Options) -> list[str]:
        return declared.problems(OPTIONS, options)

    def check_values(self, options: Options, secrets: Mapping[str, Secret]) -> None:
        identity(declared.read(OPTIONS, options), secrets)

    def places(self, options: Options) -> KeyPlaces:
        return KeyPlaces()

    def bind(self, options: Options, secrets: Mapping[str, Secret]) -> Applier:
        return _Presented(identity(declared.read(OPTIONS, options), secrets))
