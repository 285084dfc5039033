"""Signing in as the control plane asks for it: with the API as it is now, its own exit, and what was kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.tokens import Provider, providing
from tests.wire.conftest import StartUpstream
from tests.wire.raw import answer, saying
from tieline.core.errors import CredentialMissing, DestinationNotAllowed
from tieline.dataplane.operator.opening import Opening
from tieline.dataplane.operator.signin import SignIns
from tieline.dataplane.operator.trial import Trial
from tieline.dataplane.operator.verify import Verifier
from tieline.ports.connections import ConnectionKey, EndUser, SealedToken
from tieline.ports.operator import TrialRun
from tieline.ports.signins import SignInRow
from tieline.schemes.flow import IssuerRefused
from tieline.schemes.sign_in_context import pack
from tieline.testing.connections import MemoryConnections
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring
from tieline.vault.envelope import Place, SealBroken
from tieline.vault.intake import Intake
from tieline.wire.guard import Guard
from tieline.wire.tls import Trust

BACK = "http://127.0.0.1/api/v1/oauth/callback"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
STATE = "a-state-" + "of-the-tests"
TARGET = ConnectionKey("api_crm", "live", 0)
SECRET = "not-" + "a-real-secret"


@dataclass
class Bench:
    """A desk over an API of a provider."""

    desk: SignIns
    source: MemorySource
    provider: Provider

    def credential(self, client: str = "tieline", hosts: tuple[str, ...] = ()) -> None:
        """Put the client's credential."""
        self.source.put_credential("crm", {"client_id": client, "client_secret": SECRET}, hosts=hosts)

    async def begun(self, sign_in_id: str = "sgn_1") -> SignInRow:
        """A sign-in on its way, kept as the control plane keeps it."""
        sign_in, fingerprint = await self.desk.begin(TARGET, BACK, STATE)
        query = parse_qs(urlsplit(sign_in.url).query)
        assert (query["state"], query["redirect_uri"]) == ([STATE], [BACK])
        place = Place("sign_ins", sign_in_id, "kept", 0, "live")
        context = Intake(self.source.keyring).seal(place, pack(sign_in.context))
        return SignInRow(sign_in_id, TARGET, "crm", None, NOW, "op_1", NOW, fingerprint=fingerprint, context=context)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Everything that a test plays with."""
    source = MemorySource(await memory_keyring())
    async with providing() as provider:
        source.put_api(provider.definition("crm"))
        found = Bench(
            SignIns(Opening(source, MemoryConnections(), source.keyring, Guard(["127.0.0.1"]), Trust())),
            source,
            provider,
        )
        found.credential()
        yield found


async def test_a_sign_in_ends_in_a_token(bench: Bench) -> None:
    """What the scheme kept comes back to it when the person does."""
    token = await bench.desk.finish(await bench.begun(), {"state": STATE, "code": "a-code"})
    assert token.values["access"].reveal_bytes().decode() in bench.provider.access


async def test_a_sign_in_does_not_outlive_the_client_it_was_begun_for(bench: Bench) -> None:
    """Another client's secret is not shown to the provider for it."""
    begun = await bench.begun()
    bench.credential("somebody-else")
    with pytest.raises(IssuerRefused, match="was changed"):
        await bench.desk.finish(begun, {"state": STATE, "code": "a-code"})
    assert bench.provider.granted == {}


async def test_what_was_kept_for_one_sign_in_opens_for_no_other(bench: Bench) -> None:
    """Moved to another row, it is noise."""
    begun = replace(await bench.begun(), id="sgn_2")
    with pytest.raises(SealBroken):
        await bench.desk.finish(begun, {"state": STATE, "code": "a-code"})


async def test_a_token_is_asked_for_only_where_the_credential_may_go(bench: Bench) -> None:
    """A credential with hosts of its own has to name the issuer's."""
    bench.source.put_api({**bench.provider.definition("crm"), "base_url": "http://localhost:9"})
    begun = await bench.begun()
    bench.credential(hosts=("localhost",))
    with pytest.raises(DestinationNotAllowed, match=r"not bound to the host 127\.0\.0\.1"):
        await bench.desk.finish(begun, {"state": STATE, "code": "a-code"})


async def test_nobody_signs_in_where_nothing_is_set(bench: Bench) -> None:
    """Without the client's credential, for an API that is gone, or by a scheme that is not there."""
    bench.source.sealed.clear()
    for target in (TARGET, TARGET._replace(api_id="api_gone")):
        with pytest.raises(CredentialMissing):
            await bench.desk.begin(target, BACK, STATE)
    bench.credential()
    with pytest.raises(IssuerRefused, match="Nobody signs in"):
        await bench.desk.begin(TARGET._replace(position=1), BACK, STATE)


PER_USER = {"connections": "per_user"}
CALL = {"path": "/thing", "response": {"type": "json"}}


async def test_a_verify_request_and_a_trial_use_the_token_of_the_end_user_they_name(
    bench: Bench, start_upstream: StartUpstream
) -> None:
    """Where users sign in for themselves there is no other; nobody named is told what to do."""
    upstream = await start_upstream(saying(answer(b"{}", b"Content-Type: application/json")))
    described = bench.provider.definition("crm")
    auth = {**described["auth"], **PER_USER}
    verify = {"method": "GET", "path": "/me"}
    base = f"http://127.0.0.1:{upstream.port}/v1"
    bench.source.put_api({**described, "auth": auth, "base_url": base, "verify": verify, "calls": {"it": CALL}})
    bench.credential()
    token = await bench.desk.finish(await bench.begun(), {"state": STATE, "code": "a-code"})
    store, intake, ann = MemoryConnections(), Intake(bench.source.keyring), EndUser("app_1", "ann")
    sealed = {
        name: intake.seal(Place("connection_secrets", "conn_1", name, 1, "live"), value)
        for name, value in token.values.items()
    }
    _, fingerprint = await bench.desk.begin(TARGET, BACK, STATE)
    store.put(TARGET._replace(app_id="app_1", user="ann"), SealedToken(fingerprint, sealed, None, (), token.account))
    opening = Opening(bench.source, store, bench.source.keyring, Guard(["127.0.0.1"]), Trust())

    assert "end user" in ((await Verifier(opening).probe("crm", "live")).problem or "")
    assert (await Verifier(opening).probe("crm", "live", ann)).ok
    assert (await Trial(opening).run(TrialRun("crm", "it", "live", {}, {}, ann))).status == 200
    bearer = b"Bearer " + token.values["access"].reveal_bytes()
    assert [seen.one(b"authorization") for seen in upstream.seen] == [bearer, bearer]
