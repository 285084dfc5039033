"""What holds for every scheme of the registry, in every sample: the contract of ``schemes.base``."""

import re
from dataclasses import replace

import pytest

from tests.unit.schemes.samples import SAMPLES, SECRET, Sample
from tieline.core.errors import CredentialMissing
from tieline.core.secret import Secret
from tieline.schemes.base import Outgoing, Static
from tieline.schemes.flow import Renewing
from tieline.schemes.registry import SCHEMES
from tieline.wire import framing

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=[f"{n}-{each.scheme}" for n, each in enumerate(SAMPLES)])


def went_out(outgoing: Outgoing) -> bytes:
    """Everything of a request that a scheme may have written."""
    fields = b"\n".join(name + b": " + value for name, value in outgoing.headers)
    return b"\n".join((outgoing.path, outgoing.query, fields, outgoing.body or b""))


def test_every_scheme_has_a_sample() -> None:
    """And no sample is of a scheme that there is not."""
    assert {each.scheme for each in SAMPLES} == set(SCHEMES.names())


@pytest.mark.parametrize("name", SCHEMES.names())
def test_a_scheme_says_what_it_is(name: str) -> None:
    """A picker needs a name and a sentence."""
    scheme = SCHEMES.get(name)
    assert scheme.name == name
    assert re.fullmatch(r"[A-Z].{8,100}\.", scheme.sentence)
    assert isinstance(scheme, Static | Renewing)


@every_sample
def test_fields_are_named_and_labelled(sample: Sample) -> None:
    """Each once; the sample's credential has all that are required and no other."""
    fields = SCHEMES.get(sample.scheme).fields(sample.options)
    names = [each.name for each in fields]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", each.name) and each.label[:1].isupper() for each in fields)
    assert {each.name for each in fields if each.required} <= sample.secrets.keys() <= set(names)


@every_sample
def test_unknown_options_are_refused(sample: Sample) -> None:
    """By name, one sentence; the sample's own are fine."""
    scheme = SCHEMES.get(sample.scheme)
    assert scheme.check(sample.options) == []
    problems = scheme.check({**sample.options, "no_such": True})
    assert len(problems) == 1
    assert problems[0].startswith("unknown option 'no_such'")


@every_sample
@pytest.mark.parametrize("value", [SECRET, 7, None, [], [SECRET], {}, {SECRET: SECRET}, "a\r\nb: " + SECRET, True])
def test_an_option_of_another_kind_is_told_without_being_shown(sample: Sample, value: object) -> None:
    """Nothing that is written in a definition by mistake breaks the check, or is repeated by it."""
    for name in sample.options:
        problems = SCHEMES.get(sample.scheme).check({**sample.options, name: value})
        assert all(SECRET not in each for each in problems)


@every_sample
def test_places_are_names_as_they_are_looked_up(sample: Sample) -> None:
    """Header fields in lower case."""
    places = SCHEMES.get(sample.scheme).places(sample.options)
    assert all(framing.is_name(name) and name == name.lower() for name in places.headers)
    assert not any(framing.is_engine_owned(name) for name in places.headers)


@every_sample
def test_what_goes_out_can_go_over_the_wire(sample: Sample) -> None:
    """Names and values that cannot end their line, in printable ASCII; a target of visible ASCII."""
    outgoing = sample.request()
    sample.bound().apply(outgoing)
    assert all(framing.is_name(name) for name, _ in outgoing.headers)
    assert all(re.fullmatch(rb"[\x20-\x7e]*", value) for _, value in outgoing.headers)
    assert framing.is_target(outgoing.path + b"?" + outgoing.query)


@every_sample
def test_secrets_that_go_out_are_told(sample: Sample) -> None:
    """A reflection can only be masked where the form is known; all else that goes out is derived, or no secret."""
    applier = sample.bound()
    outgoing = sample.request()
    applier.apply(outgoing)
    sent = went_out(outgoing)
    told = [secret.reveal_bytes() for secret in applier.secrets()]
    fields = SCHEMES.get(sample.scheme).fields(sample.options)
    held = {each.name: sample.secrets[each.name] for each in fields if each.secret and each.name in sample.secrets}
    held |= {name: value for name, value in (sample.token or {}).items() if name != "access_key_id"}  # it is no secret
    for value in held.values():
        assert value.encode() not in sent or any(value.encode() in each for each in told)


@every_sample
def test_names_and_ids_are_no_secrets(sample: Sample) -> None:
    """A user name, a client id or a key id passes where an answer repeats it."""
    told = {secret.reveal_bytes().decode() for secret in sample.bound().secrets()}
    fields = SCHEMES.get(sample.scheme).fields(sample.options)
    for each in fields:
        if not each.is_secret(sample.secrets):
            assert sample.secrets.get(each.name) not in told


@every_sample
def test_nothing_shows_in_a_repr(sample: Sample) -> None:
    """Of the applier or of what it tells."""
    applier = sample.bound()
    shown = repr(applier) + str(applier) + repr(applier.secrets()) + repr(sample.sealed)
    assert all(value not in shown for value in sample.secrets.values() if value == SECRET)
    assert all(isinstance(each, Secret) for each in applier.secrets())


ODD_FIELDS: list[tuple[bytes, bytes]] = [
    (b"X-Odd", b"\xff\xfe\xc3"),
    (b"Content-Type", b"application/json; charset=\xff"),
    (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Content-Type", b""),
    (b"X-Amz-Content-Sha256", b"\xff"),
    (b"Authorization", b"\xff"),
    (b"Cookie", b"=;\xff;a"),
]
ODD_BODIES = (None, b"", b"\xff\x00", b"a=%FF&=&%", b'{"a": "\\ud83d"}', b'{"auth": {}}', b"[" * 5_000, b"{" * 5_000)


@every_sample
@pytest.mark.parametrize("field", ODD_FIELDS, ids=str)
def test_no_request_of_a_caller_breaks_it(sample: Sample, field: tuple[bytes, bytes]) -> None:
    """Whatever its fields, query and body hold, it is sent, or refused with what to do."""
    for body in ODD_BODIES:
        for query in (b"", b"&&=&%FF=%&a", b"a=%00"):
            outgoing = sample.request(field, query=query)
            outgoing.body = body
            try:
                sample.bound().apply(outgoing)
            except CredentialMissing:
                continue


ANSWERED: list[tuple[bytes, bytes]] = [
    (b"WWW-Authenticate", b'Digest realm="\xff", nonce="\xfe", algorithm=SHA-256, qop="auth,\xff"'),
    (
        b"WWW-Authenticate",
        b'Digest realm="r", nonce="n", algorithm=MD5-sess, qop=auth-int, opaque="' + b"o" * 9_000 + b'"',
    ),
    (b"WWW-Authenticate", b'Hawk ts="99999999999999", tsm="\xff"'),
    (b"WWW-Authenticate", b'Hawk ts="999999999999", tsm=""'),
    (b"WWW-Authenticate", b"Digest " + b"a=b, " * 2_000),
    (b"WWW-Authenticate", b"\xff\x00"),
    (b"Authentication-Info", b'nextnonce="\xff'),
]


@every_sample
@pytest.mark.parametrize("status", [200, 401])
def test_no_answer_of_an_api_breaks_it(sample: Sample, status: int) -> None:
    """A challenge that makes no sense is none."""
    applier = sample.bound()
    for field in ANSWERED:
        outgoing = sample.request()
        applier.answered(outgoing.headers, status, [field])
        applier.apply(outgoing)
        applier.answered(outgoing.headers, status, [field])


@every_sample
def test_a_caller_cannot_send_beside_it(sample: Sample) -> None:
    """What the scheme replaces stands once, with the scheme's value."""
    applier = sample.bound()
    outgoing = sample.request(query=b"&".join(name + b"=forged" for name in applier.replaces_query))
    outgoing.drop_query(applier.replaces_query)
    applier.apply(outgoing)
    names = [name.lower() for name, _ in outgoing.headers]
    assert all(names.count(name) <= 1 for name in applier.replaces)
    assert b"forged" not in outgoing.query


@every_sample
def test_only_a_lasting_scheme_does_the_same_again(sample: Sample) -> None:
    """Its work may be kept for the next request with the same head; then it neither reads bodies nor listens."""
    applier = sample.bound()
    if applier.constant:
        first, second = sample.request(), sample.request()
        applier.apply(first)
        applier.apply(second)
        assert went_out(first) == went_out(second)
    assert not (applier.constant and (applier.reads_body or applier.listens))


@every_sample
def test_a_scheme_that_does_not_read_bodies_leaves_them(sample: Sample) -> None:
    """It works where the body is streamed and nobody has it."""
    applier = sample.bound()
    if not applier.wants_body(sample.headers):
        outgoing = sample.request()
        outgoing.body = None
        applier.apply(outgoing)
        assert outgoing.body is None


@pytest.mark.parametrize("sample", [each for each in SAMPLES if each.token is not None], ids=lambda each: each.scheme)
def test_whose_token_it_is_concerns_no_scheme(sample: Sample) -> None:
    """It is handed that option too, and leaves it aside."""
    scheme = SCHEMES.get(sample.scheme)
    options = {**sample.options, "connections": "shared"}
    assert SCHEMES.check(sample.scheme, options) == []
    assert scheme.fields(options) == scheme.fields(sample.options)
    assert scheme.places(options) == scheme.places(sample.options)
    outgoing = sample.request()
    replace(sample, options=options).bound().apply(outgoing)
    assert (outgoing.method, outgoing.origin) == (sample.request().method, sample.request().origin)
