"""The scheme ``mtls``: certificates and keys as people have them, and what is told when they do not fit."""

from base64 import b64encode, encodebytes
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from tests.peers.keys import CERTIFICATE, EC, EC_KEY, certificate, pem
from tieline.core.errors import CredentialMissing, InvalidInput
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.definitions.parse import parse_data
from tieline.schemes.base import Outgoing
from tieline.schemes.mtls import Mtls
from tieline.schemes.registry import SCHEMES, check_fields
from tieline.wire.tls import TlsIdentity

PASSWORD = "not-real"
OTHER = ec.generate_private_key(ec.SECP256R1())
OTHER_CERTIFICATE = certificate(OTHER, "other.example.com").public_bytes(Encoding.PEM).decode()
LOCKED = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())).decode()


def bundle(password: str | None = PASSWORD) -> bytes:
    """A PKCS#12 file with a chain."""
    lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    chain = [certificate(OTHER, "authority.example.com")]
    return pkcs12.serialize_key_and_certificates(b"me", EC, certificate(EC), chain, lock)


def identity(fields: Mapping[str, str], **options: str) -> TlsIdentity:
    """Who Tieline is with these values."""
    assert Mtls().check(options) == []
    tls = Mtls().bind(options, {name: Secret.from_text(value) for name, value in fields.items()}).tls
    assert tls is not None
    return tls


def is_the_key(tls: TlsIdentity) -> bool:
    """Whether the identity holds the tests' key, without a password."""
    assert tls.key is not None
    found = load_pem_private_key(tls.key.reveal_bytes(), None)
    return found.private_numbers() == EC.private_numbers()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "fields",
    [
        {"certificate": CERTIFICATE, "key": EC_KEY},
        {"certificate": CERTIFICATE, "key": LOCKED, "password": PASSWORD},
        {"certificate": CERTIFICATE.replace("\n", "\\n"), "key": EC_KEY.replace("\n", "\\n")},
        {"certificate": OTHER_CERTIFICATE + CERTIFICATE, "key": EC_KEY},
    ],
)
def test_certificate_and_key_in_pem(fields: Mapping[str, str]) -> None:
    """With or without a password, out of a JSON file, in any order: the key's own certificate comes first."""
    tls = identity(fields)
    assert tls.certificate is not None
    assert tls.certificate.startswith(CERTIFICATE.encode())
    assert is_the_key(tls)


@pytest.mark.parametrize("encode", [b64encode, encodebytes])
@pytest.mark.parametrize("password", [PASSWORD, None])
def test_a_bundle(encode: object, password: str | None) -> None:
    """PKCS#12 in base64, on one line or many; its chain goes with it."""
    assert callable(encode)
    fields = {"bundle": encode(bundle(password)).decode(), **({"password": password} if password else {})}
    tls = identity(fields, format="pkcs12")
    assert tls.certificate is not None
    assert tls.certificate.count(b"BEGIN CERTIFICATE") == 2
    assert is_the_key(tls)


def test_authorities_alone() -> None:
    """A private authority needs no client certificate."""
    tls = identity({"authorities": OTHER_CERTIFICATE}, server_name="inside.example.com")
    assert (tls.certificate, tls.key, tls.server_name) == (None, None, "inside.example.com")
    assert tls.authorities == OTHER_CERTIFICATE.encode()


def test_identities_are_told_apart() -> None:
    """By certificate, authorities and name; not by the key's password."""
    pair = {"certificate": CERTIFICATE, "key": EC_KEY}
    prints = [
        identity(pair),
        identity({"certificate": OTHER_CERTIFICATE, "key": pem(OTHER)}),
        identity({**pair, "authorities": OTHER_CERTIFICATE}),
        identity(pair, server_name="a.example.com"),
        identity(pair, server_name="b.example.com"),
    ]
    assert len({each.fingerprint for each in prints}) == len(prints)
    assert all(len(each.fingerprint) == 64 for each in prints)
    again = identity({"certificate": CERTIFICATE, "key": LOCKED, "password": PASSWORD})
    assert again.fingerprint == prints[0].fingerprint


@pytest.mark.parametrize(
    ("form", "fields", "param", "word"),
    [
        ("pem", {}, "certificate", "Give a certificate"),
        ("pem", {"certificate": CERTIFICATE}, "key", "without its key"),
        ("pem", {"key": EC_KEY}, "certificate", "without its certificate"),
        ("pem", {"certificate": "nonsense", "key": EC_KEY}, "certificate", "BEGIN CERTIFICATE"),
        ("pem", {"certificate": EC_KEY, "key": EC_KEY}, "certificate", "BEGIN CERTIFICATE"),
        ("pem", {"certificate": CERTIFICATE[:200], "key": EC_KEY}, "certificate", "BEGIN CERTIFICATE"),
        ("pem", {"certificate": CERTIFICATE, "key": "nonsense"}, "key", "private key in PEM"),
        ("pem", {"certificate": CERTIFICATE, "key": CERTIFICATE}, "key", "private key in PEM"),
        ("pem", {"certificate": CERTIFICATE, "key": LOCKED}, "key", "password"),
        ("pem", {"certificate": CERTIFICATE, "key": LOCKED, "password": "wrong"}, "key", "password"),
        ("pem", {"certificate": CERTIFICATE, "key": EC_KEY, "password": "none"}, "key", "password"),
        ("pem", {"certificate": OTHER_CERTIFICATE, "key": EC_KEY}, "key", "does not belong"),
        ("pem", {"authorities": "nonsense"}, "authorities", "BEGIN CERTIFICATE"),
        ("pkcs12", {"bundle": "not base64!"}, "bundle", "base64"),
        ("pkcs12", {"bundle": "bm9uc2Vuc2U="}, "bundle", "PKCS#12"),
        ("pkcs12", {"bundle": b64encode(bundle()).decode()}, "bundle", "password"),
        ("pkcs12", {"bundle": b64encode(bundle()).decode(), "password": "wrong"}, "bundle", "password"),
    ],
)
def test_what_does_not_fit_is_told(form: str, fields: Mapping[str, str], param: str, word: str) -> None:
    """With its field, and without a value."""
    with pytest.raises(CredentialMissing) as refused:
        identity(fields, format=form)
    assert refused.value.param == param
    assert word in refused.value.public


def test_a_bundle_without_a_key() -> None:
    """Certificates alone identify nobody."""
    data = pkcs12.serialize_key_and_certificates(b"me", None, None, [certificate(EC)], NoEncryption())
    with pytest.raises(CredentialMissing, match="lacks a key"):
        identity({"bundle": b64encode(data).decode()}, format="pkcs12")


@pytest.mark.parametrize("prefix", ["", "mtls."])
def test_an_operator_hears_of_it_at_once(prefix: str) -> None:
    """When the credential is put, under the name that it was put by."""
    auth: list[dict[str, str]] = [{"scheme": "mtls"}, *([{"scheme": "bearer"}] if prefix else [])]
    data = {"tieline": "v1", "api": "api", "base_url": "https://api.example.com", "auth": auth}
    definition = parse_data(data, schemes=SCHEMES)
    fields = {f"{prefix}certificate": CERTIFICATE, f"{prefix}key": pem(OTHER)} | ({"bearer.key": "k"} if prefix else {})
    with pytest.raises(InvalidInput, match="does not belong") as refused:
        check_fields(definition, {name: Secret.from_text(value) for name, value in fields.items()})
    assert refused.value.param == f"{prefix}key"


def test_a_certificate_needs_tls() -> None:
    """Over plain HTTP nobody would see it."""
    applier = Mtls().bind({}, {"certificate": Secret.from_text(CERTIFICATE), "key": Secret.from_text(EC_KEY)})
    with pytest.raises(CredentialMissing, match="https"):
        applier.apply(Outgoing(b"GET", b"/", b"", [], Origin("http", "api.example.com", 80)))


@pytest.mark.parametrize("options", [{"format": "der"}, {"server_name": "https://x"}, {"server_name": "a b"}])
def test_a_wrong_option_is_a_problem(options: Mapping[str, str]) -> None:
    """Told at its name."""
    assert [problem.partition(":")[0] for problem in Mtls().check(options)] == list(options)
