"""The form of app keys."""

import hashlib
import hmac
import re
import zlib

import pytest

from tieline.access.appkey import check, environment_of, has_form, hidden, keyed_hash, mint, redacted
from tieline.core.errors import InvalidAppKey

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def checksum(body: bytes) -> str:
    """CRC-32 in six base62 digits, worked out the slow way."""
    number, digits = zlib.crc32(body), ""
    for _ in range(6):
        digits, number = BASE62[number % 62] + digits, number // 62
    return digits


@pytest.mark.parametrize(("environment", "prefix"), [("live", "tl_live_"), ("development", "tl_test_")])
def test_a_key_is_a_prefix_43_random_characters_and_a_checksum(environment: str, prefix: str) -> None:
    """The form of permissions.md section 1."""
    text = mint(environment).reveal_bytes()  # type: ignore[arg-type]
    assert re.fullmatch(prefix + "[0-9A-Za-z]{49}", text.decode())
    assert text[-6:].decode() == checksum(text[:-6])
    check(text)


def test_two_keys_differ() -> None:
    """Each key is random of its own."""
    assert len({mint("live").reveal_bytes() for _ in range(100)}) == 100


def test_a_key_tells_its_environment() -> None:
    """From the secret or its bytes."""
    assert environment_of(mint("live")) == "live"
    assert environment_of(mint("development").reveal_bytes()) == "development"


def test_a_key_is_shown_by_its_ends() -> None:
    """The prefix and the last four characters, nothing between."""
    key = mint("live")
    assert redacted(key) == redacted(key.reveal_bytes()) == "tl_live_…" + key.reveal_bytes()[-4:].decode()


@pytest.mark.parametrize(
    ("text", "expected"), [(b"tl_live_x", True), (b"tl_", True), (b"tla_x", False), (b"sk-x", False)]
)
def test_what_begins_as_a_key_means_to_be_one(text: bytes, expected: bool) -> None:
    """The prefix tells app keys from provider keys and admin tokens."""
    assert has_form(text) is expected


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda key: b"sk-sandbox-" + key, 'begins with "tl_live_"'),
        (lambda _: b"", 'begins with "tl_live_"'),
        (lambda key: key.replace(b"live", b"prod"), 'begins with "tl_live_"'),
        (lambda key: key[:-1], "has 56 characters"),
        (lambda key: key + b"\n", "has 58 characters"),
        (lambda key: key[:20] + b"-" + key[21:], "or one that no key has"),
        (lambda key: key[:20] + (b"a" if key[20:21] != b"a" else b"b") + key[21:], "checksum does not fit"),
        (lambda key: key.replace(b"live", b"test"), "checksum does not fit"),
    ],
)
def test_a_key_with_a_mistake_is_refused_offline(change: object, problem: str) -> None:
    """The refusal says what is wrong and never repeats the key."""
    text = change(mint("live").reveal_bytes())  # type: ignore[operator]
    with pytest.raises(InvalidAppKey, match=re.escape(problem)) as caught:
        check(text)
    assert text[8:].decode() == "" or text[8:].decode() not in caught.value.public


def test_what_is_no_key_can_be_shown_too() -> None:
    """As it came in, in whatever bytes."""
    assert redacted(b"tl_live_\xff" + b"0" * 44 + b"abc\xff").endswith("abc\ufffd")


def test_keys_in_a_text_are_hidden() -> None:
    """A path or a name that holds one by mistake can be shown; other texts stay as they are."""
    key = mint("live").reveal_bytes().decode()
    assert hidden(f"/things/{key}/x?k={key}") == f"/things/{redacted(key.encode())}/x?k={redacted(key.encode())}"
    assert hidden("/things/html_parts") == "/things/html_parts"


def test_a_key_is_stored_as_an_hmac() -> None:
    """HMAC-SHA-256 under the pepper; another pepper gives another hash."""
    assert keyed_hash(b"pepper", b"key") == hmac.new(b"pepper", b"key", hashlib.sha256).digest()
    assert keyed_hash(b"pepper", b"key") != keyed_hash(b"salt", b"key")
