"""APIs: added from the catalogue, a definition or a base URL alone; changed as a whole; exported without secrets."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import ApiAdded, ApiChanged, ApiRemoved
from tieline.controlplane import catalogue
from tieline.controlplane.compiled import canonical, definition_of, problems_of, relearned
from tieline.controlplane.grants import drop_lost_grants
from tieline.controlplane.inputs import checked_page, not_found
from tieline.controlplane.services import Services
from tieline.core.errors import AlreadyExists, DestinationNotAllowed, InvalidInput, LostUpdate
from tieline.core.ids import new_id
from tieline.core.names import Environment, is_api_name
from tieline.core.pages import Page, PageRequest
from tieline.core.urls import host_of
from tieline.definitions.model import ENVIRONMENTS, Definition
from tieline.definitions.parse import parse, parse_data, to_json, to_yaml
from tieline.definitions.problems import DefinitionError
from tieline.ports.apis import ApiReader, ApiRow
from tieline.ports.credentials import CredentialRow
from tieline.schemes.registry import SCHEMES

HOSTS_MOST = 64


@dataclass(frozen=True, slots=True)
class NewApi:
    """What an API shall be: an entry of the catalogue, or a definition, or neither; a base URL goes before theirs.

    A base URL alone makes an API that takes a bearer token, as most do; what takes none or another needs a definition.

    ``hosts`` are where its credentials may go; None means what the definition says or, with
    ``base_url``, that URL's host.
    """

    name: str
    from_catalogue: str | None = None
    definition: str | Mapping[str, Any] | None = None
    base_url: str | None = None
    hosts: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class ApiView:
    """An API as operators see it, with the credentials that are active now, at most one for each environment.

    ``definition`` is None where another version stored what this one cannot read; ``problems`` say why an environment
    cannot be used.
    """

    row: ApiRow
    definition: Definition | None
    credentials: Sequence[CredentialRow]

    @property
    def problems(self) -> Mapping[Environment, str]:
        return problems_of(self.row.definition)


async def add(services: Services, caller: Caller, new: NewApi) -> ApiView:
    """Add an API. Needs the role editor.

    Raises:
        InvalidInput: the name, the definition, the entry or a host cannot be.
        AlreadyExists: another API has the name.
    """
    require(caller, Role.EDITOR)
    if not is_api_name(new.name):
        msg = "name must be lower-case letters, digits, _ and -, begin with a letter and have at most 63 characters."
        raise InvalidInput(msg, param="name")
    definition = await asyncio.to_thread(_assemble, new)  # reading a large one takes seconds
    check_destinations(services, definition)
    now = services.clock.now()
    stored = await asyncio.to_thread(canonical, definition)
    row = ApiRow(new_id("api"), new.name, stored, 1, new.from_catalogue, now, now)
    async with services.store.write(caller) as tx:
        if not await tx.apis.add(row):
            msg = "Another API has this name. Choose another name, or change the API that is there."
            raise AlreadyExists(msg, param="name")
        await tx.audit.add(ApiAdded(target=row.id, name=row.name, source_entry=row.source_entry))
    return ApiView(row, definition, ())


async def list_apis(services: Services, caller: Caller, page: PageRequest) -> Page[ApiView]:
    """APIs. Needs the role viewer."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        rows = await rx.apis.list(checked_page(page, "api"))
        views = [await _view(row, await rx.credentials.active(row.id)) for row in rows.items]
    return Page(views, rows.next)


async def show(services: Services, caller: Caller, api: str) -> ApiView:
    """One API by name. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        row = await find_api(rx.apis, api)
        return await _view(row, await rx.credentials.active(row.id))


async def change(
    services: Services,
    caller: Caller,
    api: str,
    wanted: str | Mapping[str, Any],
    revisions: Sequence[int] | None = None,
) -> ApiView:
    """Replace an API's definition, if its revision is one of ``revisions`` (None: whatever it is).

    Needs the role editor. A definition equal to the one that is there changes nothing.

    Raises:
        NotFound: there is no such API.
        LostUpdate: somebody changed it meanwhile.
        InvalidInput: the definition cannot be, or names another API.
    """
    require(caller, Role.EDITOR)
    definition = await asyncio.to_thread(_parsed, wanted)
    stored = await asyncio.to_thread(canonical, definition)
    check_destinations(services, definition)
    async with services.store.write(caller) as tx:
        before = await find_api(tx.apis, api)
        if revisions is not None and before.revision not in revisions:
            msg = f"The API was changed meanwhile; it is at revision {before.revision}. Read it again, then change it."
            raise LostUpdate(msg)
        if definition.api != before.name:
            msg = "api is not this API's name, which never changes. Write the same name, or add another API."
            raise InvalidInput(msg, param="api")
        after = replace(before, definition=stored)
        if after != before:
            after = replace(after, revision=before.revision + 1, updated_at=services.clock.now())
            await tx.apis.replace(after)
            for call in await asyncio.to_thread(relearned, definition_of(before.definition), definition):
                await tx.drift.forget(after.id, call)
            await tx.audit.add(ApiChanged(target=after.id, name=after.name, revision=after.revision))
        credentials = await tx.credentials.active(after.id)
    return ApiView(after, definition, credentials)


async def remove(services: Services, caller: Caller, api: str) -> None:
    """Delete an API, its credentials and every key's grants on it. Needs the role editor. Raises ``NotFound``."""
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        row = await find_api(tx.apis, api)
        for app in await tx.apps.using(row.id):
            await drop_lost_grants(tx, app, frozenset({row.name}))
        await tx.apis.remove(row.id)
        await tx.audit.add(ApiRemoved(target=row.id, name=row.name))


async def export(services: Services, caller: Caller, api: str) -> tuple[int, Definition]:
    """An API's revision and definition, which holds no secret. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        row = await find_api(rx.apis, api)
    return row.revision, definition_of(row.definition)


def as_yaml(definition: Definition) -> str:
    """A definition as the text that people edit."""
    return to_yaml(definition)


def as_json(definition: Definition) -> Mapping[str, Any]:
    """A definition as values that JSON has."""
    return to_json(definition)


async def find_api(apis: ApiReader, name: str) -> ApiRow:
    """The API called ``name``. Raises ``NotFound``."""
    row = await apis.get(name) if is_api_name(name) else None
    if row is None:
        raise not_found("API")
    return row


def check_destinations(services: Services, definition: Definition) -> None:
    """Refuse a base URL that is literally an inner address, so that it shows at once and not with the first request.

    The guard at the time of dialling is the real protection: a name can point anywhere. A host that holds a variable is
    left to it.

    Raises:
        InvalidInput: in one of the environments the base URL points inward and that is not allowed.
    """
    for environment in ENVIRONMENTS:
        host = host_of(definition.environments.get(environment, {}).get("base_url") or definition.base_url)
        if "<" in host:
            continue
        try:
            services.check_destination(host)
        except DestinationNotAllowed as error:
            raise InvalidInput(f"base_url cannot be used: {error.public}", param="base_url") from error


async def _view(row: ApiRow, credentials: Sequence[CredentialRow]) -> ApiView:
    return ApiView(row, await asyncio.to_thread(_readable, row), credentials)


def _readable(row: ApiRow) -> Definition | None:
    """The definition of ``row``, None where it is not for this version: one API keeps no other from being shown.

    Its problems are found here too, since that may take long, and are kept for ``ApiView.problems``.
    """
    problems_of(row.definition)
    try:
        return definition_of(row.definition)
    except (DefinitionError, ValueError):
        return None


def _assemble(new: NewApi) -> Definition:
    """The definition that ``new`` describes, under its name; everything goes through the one strict parser."""
    if new.from_catalogue is not None and new.definition is not None:
        msg = "from_catalogue and definition exclude each other. Give one of them."
        raise InvalidInput(msg, param="definition")
    if new.from_catalogue is not None:
        if catalogue.find_entry(new.from_catalogue) is None:
            names = ", ".join(catalogue.names())
            msg = f"The catalogue has no such entry. It has: {names}."
            raise InvalidInput(msg, param="from_catalogue")
        content = to_json(catalogue.definition_of_entry(new.from_catalogue))
    elif new.definition is not None:
        content = to_json(_parsed(new.definition))
    elif new.base_url is not None:
        content = {"tieline": "v1", "title": new.name, "auth": {"scheme": "bearer"}}
    else:
        msg = "Give from_catalogue, definition or base_url: without one of them there is nothing to call."
        raise InvalidInput(msg, param="definition")
    content = {**content, "api": new.name}
    if new.base_url is not None:
        content["base_url"] = new.base_url
        content.pop("hosts", None)
    if new.hosts is not None:
        content["hosts"] = list(new.hosts)
    return parse_data(content, schemes=SCHEMES)


def _parsed(definition: str | Mapping[str, Any]) -> Definition:
    """A definition as it was sent: text gets line numbers in its problems, data the names of its keys."""
    if isinstance(definition, str):
        return parse(definition, schemes=SCHEMES)
    return parse_data(definition, schemes=SCHEMES)
