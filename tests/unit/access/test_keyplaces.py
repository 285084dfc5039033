"""Where in a request the app key is found, and what remains of the request."""

from base64 import b64encode

import pytest

from tieline.access.keyplaces import Found, KeyPlaces, find, holds_key
from tieline.core.errors import InvalidAppKey, InvalidRequest, MissingAppKey

KEY = b"tl_live_" + b"NotARealKey".ljust(49, b"0")
OTHER = b"tl_live_" + b"NotARealKeyEither".ljust(49, b"0")
NOWHERE = KeyPlaces()
CUSTOM = KeyPlaces(
    headers=frozenset({b"x-auth", b"cookie"}), query=frozenset({b"token"}), protocol_prefixes=(b"my-key.",)
)
COOKIE = KeyPlaces(cookies=frozenset({b"session"}))
SCOPED = KeyPlaces(headers=frozenset({b"authorization"}), scoped=True)


def basic(user: bytes, password: bytes) -> bytes:
    """A Basic credential."""
    return b"Basic " + b64encode(user + b":" + password)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Authorization", b"Bearer " + KEY),
        (b"authorization", b"bearer   " + KEY),
        (b"AUTHORIZATION", KEY),
        (b"Authorization", b'Token token="' + KEY + b'"'),
        (b"Authorization", basic(KEY, b"")),
        (b"Authorization", basic(b"api", KEY)),
        (b"Authorization", basic(KEY, KEY)),
        (b"Authorization", b"BASIC " + b64encode(KEY)),
        (b"Tieline-Key", KEY),
        (b"X-Api-Key", KEY),
        (b"api-key", KEY),
        (b"Authorization", b"Bearer " + KEY + b" \t"),
        (b"Authorization", basic(KEY, b"") + b" "),
        (b"Authorization", b"ApiKey " + b64encode(b"id:" + KEY)),
    ],
)
def test_a_key_is_found_in_the_headers_that_sdks_use(name: bytes, value: bytes) -> None:
    """Whatever the API, and the header it stood in is dropped."""
    found = find([(b"Host", b"x"), (name, value), (b"Accept", b"*/*")], b"a=1", NOWHERE)
    assert found == Found(KEY, [(b"Host", b"x"), (b"Accept", b"*/*")], b"a=1")


@pytest.mark.parametrize(
    ("header", "value"), [(b"X-Auth", KEY), (b"X-Auth", b"Key " + KEY), (b"Cookie", b"a=" + KEY + b"; b=1")]
)
def test_a_key_is_found_in_the_header_of_the_scheme(header: bytes, value: bytes) -> None:
    """The API's own header, with whatever stands before the key in it."""
    assert find([(header, value)], b"", CUSTOM) == Found(KEY, [], b"")


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"Api-Key", KEY)], b""),
        ([(b"X-Auth", KEY)], b""),
        ([(b"Sec-WebSocket-Protocol", b"openai-insecure-api-key." + KEY)], b""),
        ([(b"Sec-WebSocket-Protocol", b"my-key." + KEY)], b""),
        ([], b"key=" + KEY),
        ([], b"token=" + KEY),
    ],
)
def test_the_places_of_a_scheme_stand_beside_those_that_hold_for_every_api(
    headers: list[tuple[bytes, bytes]], query: bytes
) -> None:
    """An API that has its own takes the key in the usual ones as well."""
    places = KeyPlaces(headers=frozenset({b"x-auth"}), query=frozenset({b"token"}), protocol_prefixes=(b"my-key.",))
    assert find(headers, query, places) == Found(KEY, [], b"")


def test_a_key_with_a_scope_behind_it_is_found_where_the_scheme_has_scopes() -> None:
    """As AWS's SDKs write their access key; elsewhere a slash makes it no key."""
    value = b"AWS4-HMAC-SHA256 Credential=" + KEY + b"/20260102/eu-central-1/s3/aws4_request, SignedHeaders=host"
    assert find([(b"Authorization", value)], b"", SCOPED) == Found(KEY, [], b"")
    assert find([(b"Authorization", value)], b"", NOWHERE).key != KEY


@pytest.mark.parametrize("name", [b"X-Amz-Credential", b"x-amz-credential", b"X-Goog-Credential", b"AWSAccessKeyId"])
def test_a_url_that_was_signed_with_an_app_key_is_refused(name: bytes) -> None:
    """It would show the key to whoever has it; also where the key stands in a header too."""
    query = b"a=1&" + name + b"=" + KEY + b"%2F20260102%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Signature=0"
    for headers in ([], [(b"Authorization", b"Bearer " + KEY)]):
        with pytest.raises(InvalidRequest, match="presigned URL"):
            find(headers, query, SCOPED)


@pytest.mark.parametrize(
    ("query", "without"),
    [
        (b"key=" + KEY, b""),
        (b"a=1&key=" + KEY + b"&b=%20+", b"a=1&b=%20+"),
        (b"token=" + KEY, b""),
        (b"k%65y=%74l_" + KEY[3:], b""),
        (b"key=" + KEY + b"&key=" + KEY + b"&key=1", b"key=1"),
    ],
)
def test_a_key_is_found_in_the_query_and_taken_out(query: bytes, without: bytes) -> None:
    """The other parameters stay byte for byte."""
    assert find([], query, CUSTOM) == Found(KEY, [], without)


@pytest.mark.parametrize(
    ("value", "without"),
    [
        (
            b"realtime, openai-insecure-api-key." + KEY + b", openai-beta.realtime-v1",
            b"realtime, openai-beta.realtime-v1",
        ),
        (KEY, b""),
        (b"my-key." + KEY + b",x", b"x"),
    ],
)
def test_a_key_is_found_among_websocket_protocols_and_taken_out(value: bytes, without: bytes) -> None:
    """The other protocols stay in order."""
    found = find([(b"Sec-WebSocket-Protocol", value)], b"", CUSTOM)
    kept = [(b"Sec-WebSocket-Protocol", without)] if without else []
    assert found == Found(KEY, kept, b"")


def test_protocols_without_a_key_stay_as_they_came() -> None:
    """Nothing is dropped from a field that held no key, even one that holds a provider's key."""
    protocols = b"realtime, openai-insecure-api-key.sk-sandbox-1"
    found = find([(b"Authorization", b"Bearer " + KEY), (b"Sec-WebSocket-Protocol", protocols)], b"", NOWHERE)
    assert found == Found(KEY, [(b"Sec-WebSocket-Protocol", protocols)], b"")


def test_a_key_is_found_in_a_cookie_of_the_scheme_and_taken_out() -> None:
    """The other cookies stay."""
    found = find([(b"Cookie", b"a=1; session=" + KEY + b"; b=2")], b"", COOKIE)
    assert found == Found(KEY, [(b"Cookie", b"a=1; b=2")], b"")


def test_cookies_are_left_alone_where_the_scheme_has_none() -> None:
    """A cookie without a key goes on as it came."""
    cookie = (b"Cookie", b"session=x ;  a")
    assert find([cookie, (b"Authorization", b"Bearer " + KEY)], b"", NOWHERE).headers_without == [cookie]


def test_the_same_key_in_several_places_is_dropped_from_all() -> None:
    """Repeating the key is allowed; none of the copies goes on."""
    other = (b"Authorization", b"Bearer sk-sandbox-x")
    found = find([(b"Authorization", b"Bearer " + KEY), (b"x-api-key", KEY), other], b"key=" + KEY, NOWHERE)
    assert found == Found(KEY, [other], b"")


@pytest.mark.parametrize(
    ("name", "value", "rest"),
    [
        (b"apikey", KEY, None),
        (b"X-Debug", b"key=" + KEY + b"&b", None),
        (b"X-Debug", b"(" + KEY + b")", None),
        (b"X-Encoded", KEY.replace(b"_", b"%5f"), None),
        (b"X-Auth", basic(KEY, b""), None),
        (b"X-Auth", b64encode(b"a" + KEY), None),
        (b"X-Auth", b64encode(b"ab" + KEY + b"cd").rstrip(b"="), None),
        (b"Cookie", b"k=" + KEY, None),
        (b"Cookie", b"a=1; k=" + KEY + b"; b=2", b"a=1; b=2"),
        (b"Sec-WebSocket-Protocol", b"chat, x." + KEY, b"chat"),
        (b"X-Other", b"tl_live_ is how keys begin, 100% of them", b"tl_live_ is how keys begin, 100% of them"),
    ],
)
def test_the_key_goes_on_in_no_header_whatever_its_name(name: bytes, value: bytes, rest: bytes | None) -> None:
    """It is found by value, as it is and encoded, beside the place where it was accepted."""
    kept = [(b"Accept", b"*/*")] if rest is None else [(name, rest), (b"Accept", b"*/*")]
    for place in ((b"Authorization", b"Bearer " + KEY), (b"Tieline-Key", KEY)):
        assert find([(name, value), place, (b"Accept", b"*/*")], b"", NOWHERE) == Found(KEY, kept, b"")


@pytest.mark.parametrize(
    "pair", [b"apikey=" + KEY, b"x=%74l_" + KEY[3:], KEY, b"q=say+" + KEY, b"b=" + b64encode(b"a:" + KEY)]
)
def test_the_key_goes_on_in_no_pair_of_the_query(pair: bytes) -> None:
    """Whatever the pair is called."""
    found = find([(b"Authorization", b"Bearer " + KEY)], b"a=1&" + pair + b"&b=%zz", NOWHERE)
    assert found == Found(KEY, [], b"a=1&b=%zz")


def test_a_key_beside_another_credential_leaves_that_alone() -> None:
    """What is no app key is the caller's own business where an app key stands elsewhere."""
    other = (b"Authorization", b"Bearer sk-sandbox-x")
    assert find([(b"Tieline-Key", KEY), other], b"key=mine", NOWHERE) == Found(KEY, [other], b"key=mine")


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"Authorization", b"Bearer " + KEY), (b"Tieline-Key", OTHER)], b""),
        ([(b"Authorization", b"Bearer " + KEY), (b"Authorization", b"Bearer " + OTHER)], b""),
        ([(b"Authorization", b"Bearer " + KEY)], b"key=" + OTHER),
        ([(b"Authorization", b"Bearer " + KEY)], b"key=%74l_" + OTHER[3:]),
        ([(b"Authorization", basic(KEY, OTHER))], b""),
        ([(b"Tieline-Key", KEY + b" " + OTHER)], b""),
        ([(b"Authorization", b"Bearer " + KEY), (b"X-Debug", OTHER)], b""),
        ([(b"Authorization", b"Bearer " + KEY), (b"Cookie", b"k=" + OTHER)], b""),
        ([(b"Authorization", b"Bearer " + KEY)], b"apikey=" + OTHER),
    ],
)
def test_several_different_keys_are_refused(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """Nobody can tell which one was meant; the refusal shows neither."""
    with pytest.raises(InvalidRequest, match="Several different app keys") as caught:
        find(headers, query, NOWHERE)
    assert "tl_" not in caught.value.public


@pytest.mark.parametrize(
    ("headers", "query", "place"),
    [
        ([(b"Authorization", b"Bearer sk-sandbox-x")], b"", '"authorization"'),
        ([(b"Authorization", basic(b"user", b"password"))], b"", '"authorization"'),
        ([(b"Authorization", b"Basic !!!")], b"", '"authorization"'),
        ([(b"Authorization", b"Basic")], b"", '"authorization"'),
        ([(b"X-Api-Key", b"x" + KEY)], b"", '"x-api-key"'),
        ([], b"key=abc", "the query"),
        ([(b"Sec-WebSocket-Protocol", b"openai-insecure-api-key.sk-sandbox-x")], b"", "Sec-WebSocket-Protocol"),
        ([(b"Cookie", b"session=abc")], b"", "a cookie"),
    ],
)
def test_another_credential_alone_is_an_invalid_key(
    headers: list[tuple[bytes, bytes]], query: bytes, place: str
) -> None:
    """The refusal says where it stood and what to send there; it does not repeat it."""
    with pytest.raises(InvalidAppKey, match="is no app key") as caught:
        find(headers, query, COOKIE)
    assert place in caught.value.public
    assert "sk-sandbox" not in caught.value.public


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], b""),
        ([(b"Host", b"x")], b"a=1&limit=2"),
        ([(b"Authorization", b"")], b"key=&key"),
        ([(b"Sec-WebSocket-Protocol", b"realtime")], b""),
        ([(b"Cookie", b"session=; other=1")], b""),
        ([(b"X-Other", KEY)], b"other=" + KEY),
    ],
)
def test_no_key_at_all_is_a_missing_key(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """Empty places and other places hold none; the text says where to put one."""
    with pytest.raises(MissingAppKey, match="Authorization: Bearer"):
        find(headers, query, COOKIE)


def test_a_key_in_another_place_is_told_where_it_stands() -> None:
    """Whoever put it there learns that nobody looks there."""
    for value in (KEY, b"Bearer " + KEY):
        with pytest.raises(MissingAppKey, match='stands in the header "x-other"'):
            find([(b"X-Other", value)], b"", NOWHERE)
    for headers, query, place in (
        ([(b"Cookie", b"k=" + KEY)], b"", "a cookie"),
        ([(b"Sec-WebSocket-Protocol", b"x." + KEY)], b"", "Sec-WebSocket-Protocol"),
        ([], b"apikey=" + KEY, "the query"),
    ):
        with pytest.raises(MissingAppKey, match=f"stands in {place}, where"):
            find(headers, query, NOWHERE)


def test_a_cookie_of_the_scheme_may_hold_more_than_the_key() -> None:
    """What stands before it, with a sign of equality too."""
    found = find([(b"Cookie", b"session=a=" + KEY + b"; b=2")], b"", COOKIE)
    assert found == Found(KEY, [(b"Cookie", b"b=2")], b"")


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (KEY, True),
        (b"(" + KEY + b")", True),
        (KEY.replace(b"_", b"%5F"), True),
        (b64encode(b"id:" + KEY), True),
        (b64encode(b"id:" + KEY).replace(b"=", b""), True),
        (b"tl_live_short", False),
        (b"100%", False),
        (b"dGxfbGl2ZQ==", False),
        (b"", False),
    ],
)
def test_a_value_is_told_to_hold_a_key(value: bytes, holds: bool) -> None:
    """As it is, percent-encoded or in base64; the beginning of one is none."""
    assert holds_key(value) is holds


def test_a_missing_key_of_a_basic_api_says_that_the_user_name_will_do() -> None:
    """The advice fits the API."""
    with pytest.raises(MissingAppKey, match="user name of Basic"):
        find([], b"", KeyPlaces(basic=True))


def test_different_keys_are_told_by_where_they_stand() -> None:
    """Each place once."""
    headers = [(b"Cookie", b"session=" + KEY + b"; session=" + OTHER), (b"X-Api-Key", KEY[:-1] + b"1")]
    with pytest.raises(InvalidRequest, match='keys stand in a cookie and the header "x-api-key"\\. Send one'):
        find(headers, b"", COOKIE)


def test_a_key_in_other_letters_is_told_by_where_it_stands() -> None:
    """In a place for keys too: it is one, though not as it must be written there."""
    headers = [(b"Authorization", b"Bearer " + KEY), (b"X-Api-Key", OTHER.replace(b"_", b"%5F"))]
    with pytest.raises(InvalidRequest, match='in the header "authorization" and the header "x-api-key"'):
        find(headers, b"", NOWHERE)


def test_a_key_in_a_cookie_of_another_name_is_told() -> None:
    """As any other place that this API's clients have none in."""
    with pytest.raises(MissingAppKey, match="stands in a cookie, where"):
        find([(b"Cookie", b"other=" + KEY)], b"", COOKIE)


@pytest.mark.parametrize(
    "value",
    [
        OTHER + b" " + KEY.replace(b"_", b"%5F"),
        OTHER + b"," + b64encode(b"id:" + KEY),
        OTHER.replace(b"_", b"%5F") + b"," + b64encode(b"id:" + KEY),
    ],
)
def test_every_form_of_a_key_in_a_value_counts(value: bytes) -> None:
    """One that stands before the same key in other letters is found too: two different ones are refused."""
    with pytest.raises(InvalidRequest):
        find([(b"Authorization", b"Bearer " + KEY), (b"X-Other", value)], b"", NOWHERE)


@pytest.mark.parametrize("padding", [b"", b"=", b"=="])
def test_a_key_in_base64_is_found_in_either_alphabet(padding: bytes) -> None:
    """With its padding or without; what is no base64 holds none."""
    for before in (b"\xfb\xff\xfe:", b"ab:", b"abc:"):
        text = b64encode(before + KEY).rstrip(b"=")
        assert holds_key(text + padding)
        assert holds_key(text.translate(bytes.maketrans(b"+/", b"-_")) + padding)


@pytest.mark.parametrize("padding", [b"", b"=", b"== "])
def test_no_letter_of_base64_is_taken_for_padding(padding: bytes) -> None:
    """Whichever it ends in; padding that is too much is let go."""
    key = KEY[:-1] + b"W"
    text = b64encode(b"ab:" + key)
    assert text.endswith(b"X")
    assert find([(b"Authorization", b"Basic " + text + padding)], b"", NOWHERE).key == key


def test_what_is_not_all_base64_is_no_key() -> None:
    """What a lenient decoder would leave out stands in it for a reason."""
    text = b64encode(KEY)
    with pytest.raises(InvalidAppKey, match="is no app key"):
        find([(b"Authorization", b"Basic " + text[:9] + b"!" + text[9:])], b"", NOWHERE)


def test_names_in_a_query_are_read_as_forms_write_them() -> None:
    """A plus sign is a space, an escape what it stands for; a value may hold a sign of equality."""
    spaced = KeyPlaces(query=frozenset({b"my key"}))
    for pair in (b"my+key=" + KEY, b"my%20key=" + KEY):
        assert find([], b"a=1&" + pair, spaced).query_without == b"a=1"
    with pytest.raises(InvalidAppKey, match="the query is no app key"):
        find([], b"my+key=a=" + KEY[:20], spaced)


def test_a_password_of_basic_may_hold_a_colon() -> None:
    """What stands before the first is the user."""
    with pytest.raises(InvalidAppKey):
        find([(b"Authorization", basic(b"api", b"pass:" + KEY[:30]))], b"", NOWHERE)


def test_a_key_in_a_field_whose_name_is_no_text_is_told() -> None:
    """As far as it is text."""
    with pytest.raises(MissingAppKey, match='the header "x-\ufffd", where'):
        find([(b"X-\xff", KEY)], b"", NOWHERE)


def test_what_is_no_key_among_protocols_and_in_a_query_is_told_by_its_place() -> None:
    """By the words of the field's own name."""
    with pytest.raises(InvalidAppKey, match="stands in Sec-WebSocket-Protocol is no app key"):
        find([(b"Sec-WebSocket-Protocol", b"my-key.other")], b"", CUSTOM)
    with pytest.raises(InvalidAppKey, match="stands in the query is no app key"):
        find([], b"token=other", CUSTOM)


def test_no_letter_of_a_key_is_taken_for_white_space() -> None:
    """Whichever it ends in; what follows it on its line is none of it."""
    for letter in (b"X", b"x", b"0"):
        key = b"tl_live_" + letter * 49
        assert find([(b"Authorization", b"Bearer " + key + b" \t")], b"", NOWHERE).key == key
