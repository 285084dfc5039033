"""Whether an API works: its verify request, sent with its credential through the data plane's own exit."""

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import ApiVerified
from tieline.controlplane.apis import find_api
from tieline.controlplane.compiled import definition_in
from tieline.controlplane.connections import end_user_of
from tieline.controlplane.services import Services
from tieline.core.names import Environment
from tieline.ports.operator import VerifyResult

_NO_REQUEST = (
    "The definition names no verify request, so nothing was sent. Add one that only reads, such as "
    "verify: {method: GET, path: /models}."
)


async def verify(
    services: Services,
    caller: Caller,
    api: str,
    environment: Environment,
    whose: tuple[str | None, str | None] = (None, None),
) -> VerifyResult:
    """Send the verify request of an API and judge the answer. Needs the role editor, as the credential is used.

    ``whose`` is the end user whose tokens are used and the app that knows them, as ``end_user_of`` takes them.

    Raises:
        NotFound: there is no such API or app.
        InvalidInput: it is not clear whose tokens are meant.
    """
    require(caller, Role.EDITOR)
    async with services.store.read() as rx:
        row = await find_api(rx.apis, api)
        end_user = await end_user_of(rx, row, *whose)
    if definition_in(row.definition, environment).verify is None:
        return VerifyResult(False, None, _NO_REQUEST, tried=False)
    verdict = await services.prober.probe(row.name, environment, end_user)
    async with services.store.write(caller) as tx:
        await tx.audit.add(
            ApiVerified(target=row.id, name=row.name, environment=environment, ok=verdict.ok, status=verdict.status)
        )
    return verdict
