"""A message is made ready: whose token, what of the caller's goes on, where it goes, what is masked afterwards."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.dataplane.attempt.fakes import FakeHead, FakeSender, FakeSessions, Token, per_user, plan, run
from tieline.core.errors import ConnectionRequired, CredentialMissing, DestinationNotAllowed
from tieline.core.secret import Secret
from tieline.core.urls import Origin
from tieline.dataplane.attempt.loop import LARGE
from tieline.dataplane.attempt.prepare import Message, Preparer, prepare, prepare_in_thread, steady_appliers, wants_body
from tieline.dataplane.attempt.target import Target
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.tokens.holder import SHARED, Holder
from tieline.schemes.base import Applier, Headers, Outgoing
from tieline.schemes.flow import Renewal
from tieline.testing.upstreams import FakeLane
from tieline.wire.pool import Lane
from tieline.wire.tls import TlsIdentity

ANN = Holder("app_1", "ann")


class Signed(Applier):
    """Signs each request over its body, which it ends with a line of its own; notes the thread it does that in."""

    constant = False
    reads_body = True
    mints = True
    replaces = frozenset({b"x-signature"})
    replaces_query = frozenset({b"sig"})

    def __init__(self, identity: TlsIdentity | None = None) -> None:
        self.tls = identity
        self.thread: int | None = None

    def apply(self, outgoing: Outgoing) -> None:
        self.thread = threading.get_ident()
        outgoing.headers.append((b"x-signature", hashlib.sha256(outgoing.body or b"").hexdigest().encode()))
        outgoing.body = (outgoing.body or b"") + b"\n"

    def wants_body(self, headers: Headers) -> bool:
        return (b"x-signed", b"no") not in headers

    def secrets(self) -> Sequence[Secret]:
        return (Secret(b"a-secret-of-this-minute"),)


def message(query: bytes = b"", *headers: tuple[bytes, bytes], body: bytes | None = b"", **more: Any) -> Message:
    """A POST to ``/x``."""
    target = Target(b"/x", query, more.pop("origin", None))
    return Message(b"POST", target, list(headers), body, len(body) if body is not None else None, **more)


async def signing(*appliers: Applier, **changes: Any) -> Plan:
    """A plan whose requests are signed."""
    return replace(await plan(**changes), auth=appliers or (Signed(),), steady=False)


async def test_a_message_becomes_a_head_and_what_is_masked_in_its_answer() -> None:
    """The scheme adds to the fields, may change the body, and may have another secret each time."""
    to, signed = await signing(Signed()), Signed()
    made = prepare(to, (signed,), message(b"a=1", (b"X-Own", b"1"), body=b"abc"))
    digest = hashlib.sha256(b"abc").hexdigest().encode()
    assert made.head == (
        b"POST /v1/x?a=1 HTTP/1.1\r\nhost: 127.0.0.1:9\r\nX-Own: 1\r\nx-signature: " + digest + b"\r\n"
    )
    assert made.headers == [(b"X-Own", b"1"), (b"x-signature", digest)]
    assert (made.body, made.auth, made.lane) == (b"abc\n", (signed,), to.lane)
    assert set(made.reflections) == {*to.reflections, b"a-secret-of-this-minute"}


async def test_a_secret_that_stays_is_masked_as_the_plan_says() -> None:
    """Nothing is worked out anew."""
    to = await plan()
    assert prepare(to, steady_appliers(to), message()).reflections is to.reflections


async def test_a_token_is_masked_beside_what_the_plan_masks() -> None:
    """It came after the plan was made."""
    to = replace(await per_user(), reflections=(b"a-secret-of-the-client",))

    class Held(Token):
        def secrets(self) -> Sequence[Secret]:
            return (Secret(b"Bearer a-token-of-today"),)

    found = prepare(to, (Held(1),), message()).reflections
    assert b"a-secret-of-the-client" in found
    assert b"a-token-of-today" in found


PLACES: dict[str, tuple[Message, bytes]] = {
    "no query": (message(), b"POST /v1/x HTTP/1.1"),
    "a mark alone": (message(mark=True), b"POST /v1/x? HTTP/1.1"),
    "a query": (message(b"a=1", mark=True), b"POST /v1/x?a=1 HTTP/1.1"),
    "the scheme's own pair": (message(b"a=1&sig=me&b=2"), b"POST /v1/x?a=1&b=2 HTTP/1.1"),
    "its own pair alone": (message(b"s%69g=me"), b"POST /v1/x HTTP/1.1"),
}


@pytest.mark.parametrize(("sent", "line"), PLACES.values(), ids=PLACES)
async def test_what_a_caller_sends_in_a_schemes_place_does_not_go_on(sent: Message, line: bytes) -> None:
    """However it is written; everything else does as it came."""
    to = await signing()
    sent = replace(sent, headers=[(b"X-SIGNATURE", b"mine"), (b"Tieline-Environment", b"live"), (b"X-Own", b"1")])
    made = prepare(to, (Signed(),), sent)
    assert made.head.split(b"\r\n")[0] == line
    assert [name for name, _ in made.headers] == [b"X-Own", b"x-signature"]


async def test_a_pair_that_is_the_operators_does_not_go_on() -> None:
    """The shared parameter of the API takes its place."""
    to = await plan(parameters=[{"name": "site", "in": "query", "value": "ours"}])
    made = prepare(to, steady_appliers(to), message(b"site=mine&a=1"))
    assert made.head.startswith(b"POST /v1/x?a=1&site=ours HTTP/1.1\r\n")


async def test_a_base_url_alone_has_a_path() -> None:
    """The least there is."""
    to = await plan(base_url="http://127.0.0.1:9")
    made = prepare(to, steady_appliers(to), replace(message(), target=Target(b"", b"")))
    assert made.head.startswith(b"POST / HTTP/1.1\r\n")


async def test_a_url_of_its_own_leads_elsewhere_over_connections_of_its_own() -> None:
    """With its path as it is; where it is the API's own origin, over the API's; a stranger gets nothing."""
    to = await plan(hosts=["127.0.0.1", "127.0.0.2"])
    there = Origin("http", "127.0.0.2", 99)
    made = prepare(to, steady_appliers(to), message(origin=there))
    assert made.head.startswith(b"POST /x HTTP/1.1\r\nhost: 127.0.0.2:99\r\n")
    assert made.lane is not to.lane
    assert prepare(to, steady_appliers(to), message(origin=to.origin)).lane is to.lane
    with pytest.raises(DestinationNotAllowed):
        prepare(to, steady_appliers(to), message(origin=Origin("http", "127.0.0.3", 99)))


async def test_a_token_that_is_bound_to_a_certificate_goes_over_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the API's origin, or to a call's own; the plan's own certificate needs no other."""
    to, there = await signing(Signed(), Signed()), Origin("http", "127.0.0.2", 99)
    identity, asked, lane = TlsIdentity("bound"), list[tuple[Any, ...]](), FakeLane().lane

    def lane_to(_: object, *how: Any) -> Lane:
        asked.append(how)
        return lane

    monkeypatch.setattr("tieline.dataplane.snapshot.exit.Exit.lane_to", lane_to)
    assert prepare(to, (Token(1), Signed(identity)), message()).lane is lane
    assert prepare(to, (Signed(identity), Token(1)), message(origin=there)).lane is lane
    assert asked == [(to.origin, identity), (there, identity)]
    own = replace(to, auth=to.auth[:1], exit=replace(to.exit, identity=identity))
    assert prepare(own, (Signed(identity),), message()).lane is own.lane


BAD: dict[str, tuple[bytes, bytes]] = {
    "a line break": (b"x-own", b"a\nb"),
    "a name that is none": (b"x own", b"a"),
}


@pytest.mark.parametrize("pair", BAD.values(), ids=BAD)
async def test_what_cannot_go_over_the_wire_is_the_operators_to_mend(pair: tuple[bytes, bytes]) -> None:
    """Whatever the scheme made of the credential; so is a query that is none."""
    to = await signing()
    with pytest.raises(CredentialMissing):
        prepare(to, (Signed(),), message(b"", pair))
    with pytest.raises(CredentialMissing):
        prepare(to, (Signed(),), message(b"a=b c"))


async def test_a_large_body_is_signed_in_a_thread_with_the_same_outcome() -> None:
    """So that other requests need not wait; a small one is not worth it."""
    to, sent = await signing(), message(b"a=1", body=b"x" * (LARGE + 1))
    here, there = Signed(), Signed()
    made, also = prepare(to, (here,), sent), await prepare_in_thread(to, (there,), sent)
    assert (also.head, also.body, also.reflections) == (made.head, made.body, made.reflections)
    assert (also.lane, also.auth) == (to.lane, (there,))
    assert (here.thread, there.thread == threading.get_ident()) == (threading.get_ident(), False)
    elsewhere = message(origin=Origin("http", "127.0.0.3", 99))
    with pytest.raises(DestinationNotAllowed):
        await prepare_in_thread(to, (there,), elsewhere)


@pytest.mark.parametrize(("size", "same"), [(LARGE, True), (LARGE + 1, False)])
async def test_the_loop_chooses_the_thread_by_the_size_of_the_body(size: int, *, same: bool) -> None:
    """A body of more than 64 KiB is signed beside the loop."""
    signed = Signed()
    await run(FakeSender(FakeHead()), await signing(signed), message=message(body=b"x" * size))
    assert (signed.thread == threading.get_ident()) is same


async def test_a_body_that_nobody_reads_goes_as_it_comes() -> None:
    """Not even a small one is gathered where no answer can ask for the message once more."""
    sender, to = FakeSender(FakeHead(401), waiting=b"small"), await signing()
    await run(sender, to, message=message(b"", (b"x-signed", b"no"), body=None))
    assert sender.messages[0].body is None


async def test_a_scheme_says_of_which_messages_it_wants_the_body() -> None:
    """One that reads none wants none."""
    assert wants_body((Token(1), Signed()), message())
    assert not wants_body((Token(1), Signed()), message(b"", (b"x-signed", b"no")))
    assert not wants_body((Token(1),), message())
    silent = Signed()
    silent.reads_body = False
    assert not wants_body((silent,), message())


# -- tokens


class Tokens(FakeSessions):
    """Has tokens of ``have``; ``first`` says who has one that need not be waited for."""

    def __init__(self, *have: Holder, first: bool = True) -> None:
        super().__init__()
        self.have = have
        self.first = first
        self.waited: list[Holder] = []

    def current(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier | None:
        assert renewal in plan.auth
        return super().current(plan, renewal, holder) if self.first and holder in self.have else None

    async def ready(self, plan: Plan, renewal: Renewal, holder: Holder) -> Applier:
        self.waited.append(holder)
        if holder not in self.have:
            raise ConnectionRequired("Nobody signed in.")
        return await super().ready(plan, renewal, holder)

    async def renew(self, plan: Plan, renewal: Renewal, holder: Holder, stale: Applier) -> Applier:
        assert renewal in plan.auth
        if holder not in self.have:
            raise ConnectionRequired("Nobody signed in.")
        return await super().renew(plan, renewal, holder, stale)


async def mode(connections: str) -> Plan:
    """A plan whose tokens are shared out like this."""
    urls = {"token_url": "http://127.0.0.1:9/token", "authorize_url": "http://127.0.0.1:9/authorize"}
    return await plan(auth={"scheme": "oauth2", "grant": "authorization_code", "connections": connections, **urls})


async def test_a_token_that_is_good_is_not_waited_for() -> None:
    """One that is not is."""
    to, good, late = await mode("shared"), Tokens(SHARED), Tokens(SHARED, first=False)
    await Preparer(good).appliers(to, None)
    await Preparer(late).appliers(to, None)
    assert (good.waited, late.waited) == ([], [SHARED])


WHOSE: dict[str, tuple[str, tuple[Holder, ...], list[Holder] | None]] = {
    "the shared one": ("shared", (SHARED,), [SHARED]),
    "nobody has signed in to the shared one": ("shared", (), None),
    "the user's": ("per_user", (ANN, SHARED), []),
    "not the shared one in place of the user's": ("per_user", (SHARED,), None),
    "the user's before the shared one": ("per_user_or_shared", (ANN, SHARED), []),
    "the shared one where the user has none": ("per_user_or_shared", (SHARED,), [ANN, SHARED]),
    "none at all": ("per_user_or_shared", (), None),
}


@pytest.mark.parametrize(("connections", "have", "waited"), WHOSE.values(), ids=WHOSE)
async def test_whose_token_a_request_uses(connections: str, have: tuple[Holder, ...], waited: list[Holder]) -> None:
    """As the scheme's option says; where there is none the app is told that somebody has to sign in."""
    sessions = Tokens(*have, first=ANN in have)
    asking = Preparer(sessions).appliers(await mode(connections), ANN)
    if waited is None:
        with pytest.raises(ConnectionRequired):
            await asking
    else:
        assert [type(each) for each in await asking] == [Token]
        assert sessions.waited == waited


async def test_where_an_end_user_has_to_be_named_the_api_is() -> None:
    """And the field that names one."""
    to = await mode("per_user")
    with pytest.raises(ConnectionRequired) as caught:
        await Preparer(Tokens(ANN)).appliers(to, None)
    assert caught.value.public.startswith(f"{to.title} is used in the name of an end user.")
    assert caught.value.param == "Tieline-Connection"


@pytest.mark.parametrize(("have", "renewed"), [((ANN, SHARED), [ANN]), ((SHARED,), [SHARED])])
async def test_the_token_that_was_used_is_the_one_that_is_renewed(
    have: tuple[Holder, ...], renewed: list[Holder]
) -> None:
    """The user's, or the shared one where the user has none."""
    sessions = Tokens(*have)
    await Preparer(sessions).renew(await mode("per_user_or_shared"), (Token(0),), ANN)
    assert sessions.renewed_for == renewed


async def test_a_renewal_that_nobody_waits_for_fails_in_silence() -> None:
    """Whoever asks next meets the same problem, and is told."""
    failing = FakeSessions(error=ConnectionRequired("Nobody signed in."))
    to, unheard = await mode("shared"), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    preparer = Preparer(failing)
    preparer.renew_soon(to, (Token(0),), None)
    [task] = preparer._renewing
    await asyncio.wait([task])
    assert task.exception() is None
    assert unheard == []


async def test_a_plan_with_a_problem_says_so_before_anybody_is_asked() -> None:
    """Whatever its schemes are."""
    problem = CredentialMissing("No credential.")
    with pytest.raises(CredentialMissing) as error:
        await Preparer(FakeSessions()).appliers(replace(await mode("shared"), problem=problem), None)
    assert error.value is problem


async def test_schemes_keep_their_order_and_a_steady_one_is_asked_for_nothing() -> None:
    """Tokens stand where their scheme does; only they are renewed."""
    signed, to, sessions = Signed(), await mode("shared"), Tokens(SHARED)
    to = replace(to, auth=(signed, *to.auth))
    found = await Preparer(sessions).appliers(to, None)
    assert (found[0], type(found[1]), len(found)) == (signed, Token, 2)
    assert steady_appliers(to) == (signed,)
    await Preparer(sessions).renew(to, found, None)
    assert sessions.renewed == 1
    await asyncio.sleep(0)
