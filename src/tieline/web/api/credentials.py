"""Routes of an API's credentials. Values only ever come in."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field, SecretStr

from tieline.controlplane import credentials
from tieline.core.names import Environment
from tieline.core.secret import Secret
from tieline.ports.credentials import CredentialRow
from tieline.web.api.shared import Asked, CallerHere, Listing, PageHere, ServicesHere, Shown, Strict, Time

router = APIRouter(prefix="/apis/{api}/credentials", tags=["Credentials"])

Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


class CredentialBody(Strict):
    """A credential's values, by the fields of the API's scheme."""

    fields: dict[str, SecretStr] = Field(max_length=64, examples=[{"key": "sk-…"}])
    hosts: list[str] | None = Field(
        None, max_length=64, description="Where the values may go; left out: where the definition says."
    )


class PutAsked(Asked):
    """How a credential is put."""

    activate: bool = Field(False, description="Use it at once, in place of the one that is active.")


class CredentialShown(Shown):
    """A version of a credential. ``fields`` holds masked values; no route shows whole ones."""

    id: str
    environment: Environment
    version: int
    state: str
    fields: dict[str, str]
    hosts: list[str]
    created_at: Time
    created_by: str
    activated_at: Time | None
    retired_at: Time | None
    erased: bool


class CredentialPutShown(CredentialShown):
    """A version as it was put. ``cut`` says, by field, what was cut off around its value: a line end, blanks."""

    cut: dict[str, str]


def shown(row: CredentialRow) -> CredentialShown:
    """A credential as answers hold it."""
    return CredentialShown(
        id=row.id,
        environment=row.environment,
        version=row.version,
        state=row.state,
        fields=dict(row.shown),
        hosts=list(row.hosts),
        created_at=row.created_at,
        created_by=row.created_by,
        activated_at=row.activated_at,
        retired_at=row.retired_at,
        erased=not row.kept,
    )


@router.put("/{environment}")
async def put_credential(
    api: str,
    environment: Environment,
    body: CredentialBody,
    asked: Annotated[PutAsked, Query()],
    services: ServicesHere,
    caller: CallerHere,
) -> CredentialPutShown:
    """Seal a new version of the credential. The first is active at once. Needs the role editor."""
    fields = {name: Secret.from_text(value.get_secret_value()) for name, value in body.fields.items()}
    new = credentials.NewCredential(environment, fields, body.hosts, asked.activate)
    put = await credentials.put(services, caller, api, new)
    return CredentialPutShown(**dict(shown(put.row)), cut=dict(put.cut))


@router.get("")
async def list_credentials(
    api: str, page: PageHere, services: ServicesHere, caller: CallerHere
) -> Listing[CredentialShown]:
    """List all versions, masked. Needs the role viewer."""
    return Listing[CredentialShown].of(await credentials.list_credentials(services, caller, api, page.request()), shown)


@router.post("/{version}/activate")
async def activate_credential(
    api: str, version: Version, services: ServicesHere, caller: CallerHere
) -> CredentialShown:
    """Use this version from now on and retire the one that was active. Needs the role editor."""
    return shown(await credentials.activate(services, caller, api, version))


@router.delete("/{version}", status_code=204)
async def retire_credential(api: str, version: Version, services: ServicesHere, caller: CallerHere) -> None:
    """Stop using this version for good and erase its values. Needs the role editor."""
    await credentials.retire(services, caller, api, version)
