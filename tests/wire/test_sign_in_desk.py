"""Signing in as the control plane asks for it: with the API as it is now, its own exit, and what was kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.tokens import Provider, providing
from tieline.core.errors import CredentialMissing, DestinationNotAllowed
from tieline.dataplane.tokens.signin import Begun, SignInDesk, Target
from tieline.schemes.flow import IssuerRefused
from tieline.schemes.sign_in_context import pack
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring
from tieline.vault.envelope import Place, SealBroken
from tieline.vault.intake import Intake
from tieline.wire.guard import Guard
from tieline.wire.tls import Trust

BACK = "http://127.0.0.1/api/v1/oauth/callback"
STATE = "a-state-" + "of-the-tests"
TARGET = Target("api_crm", "live", 0)
SECRET = "not-" + "a-real-secret"


@dataclass
class Bench:
    """A desk over an API of a provider."""

    desk: SignInDesk
    source: MemorySource
    provider: Provider

    def credential(self, client: str = "tieline", hosts: tuple[str, ...] = ()) -> None:
        """Put the client's credential."""
        self.source.put_credential("crm", {"client_id": client, "client_secret": SECRET}, hosts=hosts)

    async def begun(self, sign_in_id: str = "sgn_1") -> Begun:
        """A sign-in on its way, kept as the control plane keeps it."""
        sign_in, basis = await self.desk.begin(TARGET, BACK, STATE)
        query = parse_qs(urlsplit(sign_in.url).query)
        assert (query["state"], query["redirect_uri"]) == ([STATE], [BACK])
        place = Place("sign_ins", sign_in_id, "kept", 0, "live")
        return Begun(sign_in_id, basis, Intake(self.source.keyring).seal(place, pack(sign_in.context)))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Everything that a test plays with."""
    source = MemorySource(await memory_keyring())
    async with providing() as provider:
        source.put_api(provider.definition("crm"))
        found = Bench(SignInDesk(source, source.keyring, Guard(["127.0.0.1"]), Trust()), source, provider)
        found.credential()
        yield found


async def test_a_sign_in_ends_in_a_token(bench: Bench) -> None:
    """What the scheme kept comes back to it when the person does."""
    token = await bench.desk.finish(TARGET, await bench.begun(), {"state": STATE, "code": "a-code"})
    assert token.values["access"].reveal_bytes().decode() in bench.provider.access


async def test_a_sign_in_does_not_outlive_the_client_it_was_begun_for(bench: Bench) -> None:
    """Another client's secret is not shown to the provider for it."""
    begun = await bench.begun()
    bench.credential("somebody-else")
    with pytest.raises(IssuerRefused, match="was changed"):
        await bench.desk.finish(TARGET, begun, {"state": STATE, "code": "a-code"})
    assert bench.provider.granted == {}


async def test_what_was_kept_for_one_sign_in_opens_for_no_other(bench: Bench) -> None:
    """Moved to another row, it is noise."""
    begun = replace(await bench.begun(), id="sgn_2")
    with pytest.raises(SealBroken):
        await bench.desk.finish(TARGET, begun, {"state": STATE, "code": "a-code"})


async def test_a_token_is_asked_for_only_where_the_credential_may_go(bench: Bench) -> None:
    """A credential with hosts of its own has to name the issuer's."""
    bench.source.put_api({**bench.provider.definition("crm"), "base_url": "http://localhost:9"})
    begun = await bench.begun()
    bench.credential(hosts=("localhost",))
    with pytest.raises(DestinationNotAllowed, match=r"not bound to the host 127\.0\.0\.1"):
        await bench.desk.finish(TARGET, begun, {"state": STATE, "code": "a-code"})


async def test_nobody_signs_in_where_nothing_is_set(bench: Bench) -> None:
    """Without the client's credential, for an API that is gone, or by a scheme that is not there."""
    bench.source.sealed.clear()
    for target in (TARGET, replace(TARGET, api_id="api_gone")):
        with pytest.raises(CredentialMissing):
            await bench.desk.begin(target, BACK, STATE)
    bench.credential()
    with pytest.raises(IssuerRefused, match="Nobody signs in"):
        await bench.desk.begin(replace(TARGET, position=1), BACK, STATE)
