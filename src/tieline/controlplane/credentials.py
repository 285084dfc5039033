"""Credentials: sealed on the way in, shown masked for ever after, put, activated and retired as versions."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import CredentialActivated, CredentialPut, CredentialRetired
from tieline.controlplane.apis import HOSTS_MOST, find_api
from tieline.controlplane.compiled import definition_in
from tieline.controlplane.inputs import checked_page, not_found
from tieline.controlplane.services import Services
from tieline.core.errors import InvalidInput
from tieline.core.ids import new_id
from tieline.core.names import Environment
from tieline.core.pages import Page, PageRequest
from tieline.core.secret import Secret, redact
from tieline.core.urls import written_host
from tieline.definitions.environment import with_values
from tieline.definitions.model import Definition
from tieline.definitions.problems import DefinitionError
from tieline.ports.apis import ApiRow
from tieline.ports.credentials import CredentialReader, CredentialRow
from tieline.schemes.registry import SCHEMES, bound_hosts, check_fields, credential_fields, cut_fields, public_fields
from tieline.vault.envelope import Place

SHOWN_MOST = 200

_UNFIT = "A private variable does not fit where it is used. Give a value of letters, digits, dots and hyphens."
_VARIABLE = "variable."


@dataclass(frozen=True, slots=True)
class NewCredential:
    """The values of a credential by field. ``hosts`` are where it may go; None means where the definition says."""

    environment: Environment
    fields: Mapping[str, Secret]
    hosts: Sequence[str] | None = None
    activate: bool = False


@dataclass(frozen=True, slots=True)
class PutCredential:
    """A version that was put, and what was cut off around its values, in words, by field."""

    row: CredentialRow
    cut: Mapping[str, str]


async def put(services: Services, caller: Caller, api: str, new: NewCredential) -> PutCredential:
    """Seal a new version of an API's credential. Needs the role editor.

    The first of an API and environment is active at once; a later one waits until it is activated, unless ``activate``.

    Raises:
        NotFound: there is no such API.
        InvalidInput: a field is unknown, missing, empty, too long or holds what cannot be sent, or a host cannot be.
    """
    require(caller, Role.EDITOR)
    now = services.clock.now()
    fields, cut = cut_fields(new.fields)
    new = replace(new, fields=fields)
    async with services.store.write(caller) as tx:
        found = await find_api(tx.apis, api)
        definition = await asyncio.to_thread(definition_in, found.definition, new.environment)
        shown = _checked_fields(definition, new.fields)
        default = _default_hosts(definition, new.fields)
        version = await tx.credentials.next_version(found.id)
        row = CredentialRow(
            id=new_id("cred"),
            api_id=found.id,
            environment=new.environment,
            version=version,
            state="pending",
            hosts=default if new.hosts is None else _checked_hosts(new.hosts),
            shown=shown,
            created_at=now,
            created_by=caller.id,
        )
        sealed = {
            field: services.intake.seal(Place("secrets", row.id, field, version, new.environment), secret)
            for field, secret in new.fields.items()
        }
        await tx.credentials.add(row, sealed)
        await tx.audit.add(
            CredentialPut(
                target=row.id,
                api=found.name,
                environment=row.environment,
                version=version,
                fields=tuple(sorted(sealed)),
                hosts=row.hosts,
            )
        )
        active = await tx.credentials.active(found.id)
        if new.activate or all(other.environment != row.environment for other in active):
            await tx.credentials.activate(row.id, now)
            await tx.audit.add(_activated(found, row))
            row = replace(row, state="active", activated_at=now)
    return PutCredential(row, cut)


async def list_credentials(services: Services, caller: Caller, api: str, page: PageRequest) -> Page[CredentialRow]:
    """All versions of an API's credentials, masked. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        found = await find_api(rx.apis, api)
        return await rx.credentials.list(found.id, checked_page(page, "cred"))


async def activate(services: Services, caller: Caller, api: str, version: int) -> CredentialRow:
    """Use this version from now on; the one in use until now is retired but can be activated again.

    Needs the role editor.

    Raises:
        NotFound: there is no such API or version.
        InvalidInput: its values are erased.
    """
    require(caller, Role.EDITOR)
    now = services.clock.now()
    async with services.store.write(caller) as tx:
        found = await find_api(tx.apis, api)
        row = await _find(tx.credentials, found, version)
        if not row.kept:
            msg = "This version was retired and its values are erased. Put the credential again."
            raise InvalidInput(msg)
        if row.state != "active":
            await tx.credentials.activate(row.id, now)
            await tx.audit.add(_activated(found, row))
            row = await _find(tx.credentials, found, version)
    return row


async def retire(services: Services, caller: Caller, api: str, version: int) -> None:
    """Stop using this version for good and erase its values. Needs the role editor.

    Where it was the active one, its API and environment have no credential until another is put or activated.

    Raises:
        NotFound: there is no such API or version.
    """
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        found = await find_api(tx.apis, api)
        row = await _find(tx.credentials, found, version)
        if row.kept:
            await tx.credentials.retire(row.id, services.clock.now())
            await tx.audit.add(
                CredentialRetired(target=row.id, api=found.name, environment=row.environment, version=row.version)
            )


async def _find(credentials: CredentialReader, api: ApiRow, version: int) -> CredentialRow:
    row = await credentials.get(api.id, version)
    if row is None:
        raise not_found("credential version")
    return row


def _activated(api: ApiRow, row: CredentialRow) -> CredentialActivated:
    return CredentialActivated(target=row.id, api=api.name, environment=row.environment, version=row.version)


def _checked_fields(definition: Definition, fields: Mapping[str, Secret]) -> dict[str, str]:
    """The masked form of each field, if they are just those that the API's schemes and private values need.

    An unknown name is refused here, without repeating it: a secret may have been put in its place.
    """
    known = [each.name for each in credential_fields(definition)]
    if not known or not fields.keys() <= set(known):
        takes = f"takes {', '.join(known)}" if known else "takes none: nothing in its definition needs a credential"
        msg = f"fields holds a field that the credential does not have. This API {takes}."
        raise InvalidInput(msg, param="fields")
    check_fields(definition, fields)
    public = public_fields(definition, fields.keys())
    return {name: _shown(secret, masked=name not in public) for name, secret in fields.items()}


def _shown(secret: Secret, *, masked: bool) -> str:
    text = secret.reveal_bytes().decode(errors="replace")
    return redact(text) if masked else text[:SHOWN_MOST]


def _default_hosts(definition: Definition, fields: Mapping[str, Secret]) -> tuple[str, ...]:
    """Where the definition says that its credential may go, with the variables filled in."""
    private = {
        name.removeprefix(_VARIABLE): secret.reveal_bytes().decode(errors="replace")
        for name, secret in fields.items()
        if name.startswith(_VARIABLE)
    }
    try:
        seen = with_values(definition, private)
    except DefinitionError as error:
        if not private:
            raise
        raise InvalidInput(_UNFIT, param="fields") from error
    if any(SCHEMES.check(auth.scheme, auth.options) for auth in seen.auth):
        msg = "A variable of the definition does not fit the options of its auth. Correct the definition."
        raise InvalidInput(_UNFIT, param="fields") if private else InvalidInput(msg)
    return bound_hosts(seen)


def _checked_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    """``hosts`` in lower case. Raises ``InvalidInput`` naming which is none, or when there are none at all."""
    if not 1 <= len(hosts) <= HOSTS_MOST:
        msg = f"hosts must name 1 to {HOSTS_MOST} hosts that the credential may go to."
        raise InvalidInput(msg, param="hosts")
    found = []
    for position, name in enumerate(hosts):
        try:
            found.append(written_host(name))
        except ValueError as error:
            msg = f"hosts[{position}] is no host. Write a name such as api.example.com, without scheme, port or *."
            raise InvalidInput(msg, param=f"hosts[{position}]") from error
    return tuple(dict.fromkeys(found))
