"""Properties of app keys: their checksum, and that they are found wherever they were put."""

from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.access.appkey import check, environment_of, find, mint, redacted
from tieline.access.keyplaces import KeyPlaces
from tieline.core.errors import InvalidAppKey, InvalidRequest, MissingAppKey
from tieline.core.names import Environment

minted = st.sampled_from(["live", "development"]).map(lambda environment: mint(environment).reveal_bytes())  # type: ignore[arg-type]
PLACES = KeyPlaces(
    headers=frozenset({b"x-goog-api-key"}),
    query=frozenset({b"token"}),
    protocol_prefixes=(b"key.",),
    cookies=frozenset({b"session"}),
)
words = st.text("abcdefghijklmnopqrsuvwxyz0123456789-", min_size=1, max_size=8).map(str.encode)
others = st.lists(st.tuples(words.map(lambda name: b"X-Other-" + name), words), max_size=4)
parameters = st.lists(st.tuples(words.map(lambda name: b"p" + name), words), max_size=4)


def in_header(key: bytes, draw: st.DataObject) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The key in one of the headers, as some SDK writes it."""
    name = draw.draw(
        st.sampled_from([b"Authorization", b"AUTHORIZATION", b"x-api-key", b"Tieline-Key", b"X-Goog-Api-Key"])
    )
    value = draw.draw(st.sampled_from([b"%b", b"Bearer %b", b"bearer %b", b"Token %b", b'Key token="%b"']))
    return [(name, value % key)], b""


def in_basic(key: bytes, draw: st.DataObject) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The key as user name or password."""
    pair = draw.draw(st.sampled_from([b"%b:", b"%b", b"api:%b", b":%b", b"%b:x"]))
    return [(b"Authorization", b"Basic " + b64encode(pair % key))], b""


def in_query(key: bytes, draw: st.DataObject) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The key as a parameter, any of its characters percent-encoded."""
    escaped = draw.draw(st.sets(st.integers(0, len(key) - 1)))
    value = "".join(f"%{byte:02x}" if at in escaped else quote(chr(byte)) for at, byte in enumerate(key))
    pairs = draw.draw(parameters)
    pairs.insert(
        draw.draw(st.integers(0, len(pairs))), (draw.draw(st.sampled_from([b"key", b"token"])), value.encode())
    )
    return [], b"&".join(name + b"=" + content for name, content in pairs)


def in_list(key: bytes, draw: st.DataObject) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The key as one of several WebSocket protocols or cookies."""
    name, joint, form = draw.draw(
        st.sampled_from(
            [
                (b"Sec-WebSocket-Protocol", b", ", b"openai-insecure-api-key.%b"),
                (b"sec-websocket-protocol", b",", b"key.%b"),
                (b"Sec-WebSocket-Protocol", b", ", b"%b"),
                (b"Cookie", b"; ", b"session=%b"),
            ]
        )
    )
    items = draw.draw(st.lists(words.map(lambda word: b"a=" + word if name == b"Cookie" else word), max_size=3))
    items.insert(draw.draw(st.integers(0, len(items))), form % key)
    return [(name, joint.join(items))], b""


WAYS = st.sampled_from([in_header, in_basic, in_query, in_list])


@given(minted)
def test_a_minted_key_always_checks(key: bytes) -> None:
    """And shows its environment and its ends."""
    check(key)
    assert (environment_of(key) == "live") is key.startswith(b"tl_live_")
    assert redacted(key) == f"{key[:8].decode()}…{key[-4:].decode()}"


@given(minted, st.integers(0, 255))
def test_a_single_changed_character_never_checks(key: bytes, byte: int) -> None:
    """CRC-32 finds every single change at every position, in the prefix and the checksum itself too."""
    for position in range(len(key)):
        wrong = key[:position] + bytes((byte,)) + key[position + 1 :]
        if wrong != key:
            with pytest.raises(InvalidAppKey):
                check(wrong)


@given(minted, st.data())
def test_a_character_too_many_or_too_few_never_checks(key: bytes, data: st.DataObject) -> None:
    """Nor do two neighbours that changed places, unless they are alike."""
    position = data.draw(st.integers(0, len(key) - 2))
    swapped = key[:position] + key[position + 1 : position + 2] + key[position : position + 1] + key[position + 2 :]
    for wrong in {key[:position] + key[position + 1 :], key[:position] + b"x" + key[position:], swapped} - {key}:
        with pytest.raises(InvalidAppKey):
            check(wrong)


@given(st.binary(max_size=80))
def test_what_was_not_minted_does_not_check(text: bytes) -> None:
    """Any other bytes are refused in the product's own way."""
    with pytest.raises(InvalidAppKey):
        check(text)


@given(minted, others, others, WAYS, st.data())
def test_a_key_is_found_wherever_it_was_put_and_nothing_of_it_goes_on(
    key: bytes, before: list[tuple[bytes, bytes]], after: list[tuple[bytes, bytes]], way: object, data: st.DataObject
) -> None:
    """Among any other headers and parameters; what remains of the request does not hold the key."""
    holding, query = way(key, data)  # type: ignore[operator]
    headers = [*before, *holding, *after]
    found = find(headers, query, PLACES)
    assert found.key == key
    going = [value for _, value in found.headers_without]
    assert [pair for pair in found.headers_without if pair in headers] == before + after
    rest = b"\n".join([*going, found.query_without])
    assert key not in rest
    assert b"tl_" not in rest


@given(minted, minted, WAYS, WAYS, st.data())
def test_two_keys_are_refused_wherever_they_were_put(
    one: bytes, other: bytes, way: object, second: object, data: st.DataObject
) -> None:
    """Unless they are the same key twice."""
    first_headers, first_query = way(one, data)  # type: ignore[operator]
    more_headers, more_query = second(other, data)  # type: ignore[operator]
    query = b"&".join(part for part in (first_query, more_query) if part)
    with pytest.raises(InvalidRequest):
        find(first_headers + more_headers, query, PLACES)


@given(others, parameters)
def test_a_request_without_a_key_is_told_so(
    headers: list[tuple[bytes, bytes]], pairs: list[tuple[bytes, bytes]]
) -> None:
    """Whatever else it holds."""
    with pytest.raises(MissingAppKey):
        find(headers, b"&".join(name + b"=" + value for name, value in pairs), PLACES)


def test_environments_are_those_of_the_product() -> None:
    """Two, each with its own prefix."""
    names: tuple[Environment, ...] = ("live", "development")
    assert {mint(name).reveal_bytes()[:8] for name in names} == {b"tl_live_", b"tl_test_"}
