"""JOSE by its published examples: RFC 7515 appendix A, RFC 8037 appendix A, and keys that must be refused."""

import base64
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jws, jwt
from joserfc.jwk import JWKRegistry

from tests.peers.keys import CERTIFICATE, EC_KEY, pem
from tieline.schemes import jose

PAYLOAD = b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

# RFC 7515 appendix A.1.1
OCT = {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}
# RFC 7515 appendix A.2.1
RSA = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
    "d": "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46su"
    "i395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4"
    "qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB"
    "4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
}
# RFC 7515 appendix A.3.1
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}
# RFC 8037 appendix A.1
OKP = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}

EXAMPLES = [
    pytest.param(
        "HS256",
        OCT,
        b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + PAYLOAD,
        b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        id="RFC 7515 A.1",
    ),
    pytest.param(
        "RS256",
        RSA,
        b"eyJhbGciOiJSUzI1NiJ9." + PAYLOAD,
        b"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1"
        b"dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDw"
        b"usC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77R"
        b"w",
        id="RFC 7515 A.2",
    ),
    pytest.param(
        "EdDSA",
        OKP,
        b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        b"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        id="RFC 8037 A.4",
    ),
]


@pytest.mark.parametrize(("algorithm", "jwk", "message", "expected"), EXAMPLES)
def test_signatures_are_those_of_the_standard(
    algorithm: str, jwk: dict[str, str], message: bytes, expected: bytes
) -> None:
    """Where a signature has one value only."""
    key = jose.load_key(algorithm, orjson.dumps(jwk))
    assert jose.encoded(jose.signature(algorithm, key, message)) == expected


def test_an_ecdsa_signature_is_verified_by_another() -> None:
    """RFC 7515 appendix A.3: it differs each time, and its published one is good for the same key."""
    token = jose.sign("ES256", jose.load_key("ES256", orjson.dumps(EC)), {}, {"iss": "joe"}).decode()
    public = JWKRegistry.import_key({name: value for name, value in EC.items() if name != "d"})
    assert jwt.decode(token, public).claims == {"iss": "joe"}
    published = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    assert jws.deserialize_compact(f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD.decode()}.{published}", public)


@pytest.mark.parametrize("algorithm", [name for name in jose.ALGORITHMS if name != "EdDSA"])
def test_every_algorithm_is_verified_by_another(algorithm: str) -> None:
    """By joserfc's own reader, with the public half where there is one."""
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in jose.SYMMETRIC:
        text = base64.b64encode(b"k" * 64)
    elif algorithm in curves:
        text = pem(ec.generate_private_key(curves[algorithm])).encode()
    else:
        text = orjson.dumps(RSA)
    key = jose.load_key(algorithm, text, encoding="base64")
    token = jose.sign(algorithm, key, {"typ": "JWT", "kid": "k"}, {"n": 1, "s": "é"}).decode()
    decoded = jwt.decode(token, key, algorithms=[algorithm])
    assert decoded.header == {"alg": algorithm, "typ": "JWT", "kid": "k"}
    assert decoded.claims == {"n": 1, "s": "é"}


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [
        ("ES256", EC_KEY),
        ("ES256", EC_KEY.replace("\n", "\\n")),
        ("ES256", "\n" + EC_KEY + "\n"),
        ("EdDSA", pem(ed25519.Ed25519PrivateKey.generate())),
        ("HS256", "a" * 32),
        ("RS256", '{"keys": [' + orjson.dumps(RSA).decode() + "]}"),
    ],
)
def test_keys_are_taken_as_people_paste_them(algorithm: str, text: str) -> None:
    """With blank lines, out of a JSON file, alone in a set."""
    assert jose.sign(algorithm, jose.load_key(algorithm, text.encode()), {}, {}).count(b".") == 2


def refused(algorithm: str, text: str, **how: Any) -> str:
    """Why a key is refused."""
    with pytest.raises(ValueError, match=r"\.") as error:
        jose.load_key(algorithm, text.encode(), **how)
    return str(error.value)


@pytest.mark.parametrize(
    ("algorithm", "text", "word"),
    [
        ("RS256", "no key at all", "cannot be read"),
        ("RS256", "-----BEGIN PRIVATE KEY-----\nnot real\n-----END PRIVATE KEY-----", "cannot be read"),
        ("RS256", EC_KEY, "cannot be read"),
        ("ES384", EC_KEY, "does not fit ES384"),
        ("ES256", CERTIFICATE, "is a public key"),
        ("ES256", orjson.dumps({name: EC[name] for name in ("kty", "crv", "x", "y")}).decode(), "is a public key"),
        ("HS256", orjson.dumps(EC).decode(), "does not fit HS256"),
        ("RS256", orjson.dumps(OCT).decode(), "does not fit RS256"),
        ("RS256", '{"kty": "RSA"}', "cannot be read"),
        ("RS256", "{}", "cannot be read"),
        ("RS256", "{", "cannot be read"),
        ("RS256", pem(rsa.generate_private_key(65537, 1024)), "less than 2048 bits"),  # noqa: S505  # what is refused
        ("HS256", EC_KEY, "cannot be read"),
        ("HS256", "short", "anybody can guess"),
        ("HS256", "k" * 31, "HS256 needs 32"),
        ("HS512", "k" * 63, "HS512 needs 64"),
    ],
)
def test_what_is_no_key_for_it_is_refused(algorithm: str, text: str, word: str) -> None:
    """Kind, curve, half, strength: each has its own words, none of which repeat the text."""
    said = refused(algorithm, text)
    assert word in said
    assert len(text) < 6 or text[:12] not in said


def test_an_encrypted_key_is_told_apart() -> None:
    """It is a key, and nobody gave its password."""
    assert "password" in refused(
        "RS256", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----"
    )


@pytest.mark.parametrize(("encoding", "text"), [("base64", "a2s="), ("base64", "_-_-"), ("hex", "6b6b")])
def test_a_secret_may_be_encoded(encoding: str, text: str) -> None:
    """Its length is that of what it decodes to."""
    assert "anybody can guess" in refused("HS256", text, encoding=encoding)
    assert jose.load_key("HS256", (text.rstrip("=") * 16).encode(), encoding=encoding, short=True)


@pytest.mark.parametrize(("encoding", "text"), [("base64", "not base64!"), ("hex", "xyz")])
def test_a_secret_that_is_not_so_encoded_is_refused(encoding: str, text: str) -> None:
    """Rather than signing with something else."""
    assert "cannot be read" in refused("HS256", text, encoding=encoding)


def test_a_short_secret_needs_a_word() -> None:
    """For providers who give no longer one."""
    assert "short_key" in refused("HS256", "k" * 20)
    assert jose.load_key("HS256", b"k" * 20, short=True)
    assert "anybody can guess" in refused("HS256", "k" * 13, short=True)


def test_there_is_no_unsigned_token() -> None:
    """``none`` is not among the algorithms."""
    assert "none" not in jose.ALGORITHMS
    assert "cannot be read" in refused("none", "k" * 64)
