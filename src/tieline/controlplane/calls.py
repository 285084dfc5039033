"""Calls of an API: each is a part of its definition, read and changed by itself, checked as a whole.

Owns how one call is put into a stored definition. What a call may say, and how it learns from answers, is known
elsewhere.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import CallAdded, CallChanged, CallRemoved
from tieline.controlplane.apis import find_api
from tieline.controlplane.compiled import definition_of, stored_definition
from tieline.controlplane.inputs import checked_limit, not_found
from tieline.controlplane.services import Services
from tieline.core.errors import AlreadyExists, InvalidInput, LostUpdate
from tieline.core.names import is_api_name
from tieline.core.pages import Page, PageRequest
from tieline.definitions import tree
from tieline.definitions.canonical import call_to_json
from tieline.definitions.environment import StoredDefinition
from tieline.definitions.infer.schema import schema_of_input, schema_of_output
from tieline.definitions.model import Call, Definition
from tieline.ports.apis import ApiRow
from tieline.ports.store import Writing


@dataclass(frozen=True, slots=True)
class CallView:
    """A call as operators see it, and the API whose revision rises with each change of it."""

    row: ApiRow
    name: str
    call: Call


async def add(services: Services, caller: Caller, api: str, name: str, wanted: str | Mapping[str, Any]) -> CallView:
    """Add a call to an API. Needs the role editor.

    Raises:
        NotFound: there is no such API.
        AlreadyExists: the API has a call of this name.
        InvalidInput: the name or the call cannot be.
    """
    require(caller, Role.EDITOR)
    if not is_api_name(name):
        msg = "name must be lower-case letters, digits, _ and -, begin with a letter and have at most 63 characters."
        raise InvalidInput(msg, param="name")
    content = await asyncio.to_thread(_node, wanted)
    async with services.store.write(caller) as tx:
        before = await find_api(tx.apis, api)
        if name in definition_of(before.definition).calls:
            msg = "The API has a call of this name. Choose another name, or change the call that is there."
            raise AlreadyExists(msg, param="name")
        row = await store_call(services, tx, before, name, content)
        await tx.audit.add(CallAdded(target=row.id, api=row.name, name=name, revision=row.revision))
    return _view(row, name)


async def list_calls(services: Services, caller: Caller, api: str, page: PageRequest) -> Page[CallView]:
    """The calls of an API by name; the cursor is the name of the last one. Needs the role viewer.

    Raises:
        NotFound: there is no such API.
        InvalidInput: the page cannot be.
    """
    require(caller, Role.VIEWER)
    limit = checked_limit(page)
    if page.after is not None and not is_api_name(page.after):
        msg = 'after must be the "next" of the page before; leave it out for the first page.'
        raise InvalidInput(msg, param="after")
    async with services.store.read() as rx:
        row = await find_api(rx.apis, api)
    calls = definition_of(row.definition).calls
    names = sorted(name for name in calls if name > (page.after or ""))
    views = [CallView(row, name, calls[name]) for name in names[:limit]]
    return Page(views, names[limit - 1] if len(names) > limit else None)


async def show(services: Services, caller: Caller, api: str, name: str) -> CallView:
    """One call. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return _view(await find_api(rx.apis, api), name)


async def change(
    services: Services,
    caller: Caller,
    place: tuple[str, str],
    wanted: str | Mapping[str, Any],
    revisions: Sequence[int] | None = None,
) -> CallView:
    """Replace the call ``place`` (names of API and call), if the API's revision is one of ``revisions`` (None: any).

    Needs the role editor. A call equal to the one that is there changes nothing.

    Raises:
        NotFound: there is no such API or call.
        LostUpdate: somebody changed the API meanwhile.
        InvalidInput: the call cannot be.
    """
    require(caller, Role.EDITOR)
    api, name = place
    content = await asyncio.to_thread(_node, wanted)
    async with services.store.write(caller) as tx:
        before = await find_api(tx.apis, api)
        _check_revision(before, revisions)
        find_call(definition_of(before.definition), name)
        after = await store_call(services, tx, before, name, content)
        if after.revision != before.revision:
            await tx.audit.add(CallChanged(target=after.id, api=after.name, name=name, revision=after.revision))
    return _view(after, name)


async def remove(
    services: Services, caller: Caller, place: tuple[str, str], revisions: Sequence[int] | None = None
) -> None:
    """Remove the call ``place`` (names of API and call) from its API, if the revision is one of ``revisions``.

    Needs the role editor.

    Raises:
        NotFound: there is no such API or call.
        LostUpdate: somebody changed the API meanwhile.
        InvalidInput: an environment overrides the call, and would have only a part of one.
    """
    require(caller, Role.EDITOR)
    api, name = place
    async with services.store.write(caller) as tx:
        before = await find_api(tx.apis, api)
        _check_revision(before, revisions)
        find_call(definition_of(before.definition), name)
        row = await _store(services, tx, before, name, lambda stored: stored.without_call(name))
        await tx.audit.add(CallRemoved(target=row.id, api=row.name, name=name, revision=row.revision))


def schemas(call: Call) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """JSON Schema (2020-12) of what a call takes and of what it gives."""
    return schema_of_input(call), schema_of_output(call)


def as_json(call: Call) -> Mapping[str, Any]:
    """A call as the definition writes it."""
    return call_to_json(call)


def find_call(definition: Definition, name: str) -> Call:
    """The call called ``name``. Raises ``NotFound``."""
    call = definition.calls.get(name)
    if call is None:
        raise not_found("call")
    return call


async def store_call(
    services: Services, tx: Writing, before: ApiRow, name: str, content: Mapping[str, Any] | tree.Node
) -> ApiRow:
    """Put a call, as the definition writes it, into the stored definition; the row as it is then.

    The same row where that changes nothing. The audit event is the caller's business. Raises ``InvalidInput``.
    """
    call = content if isinstance(content, tree.Node) else tree.plant(content)
    return await _store(services, tx, before, name, lambda stored: stored.with_call(name, call))


async def _store(
    services: Services, tx: Writing, before: ApiRow, name: str, edit: Callable[[StoredDefinition], str]
) -> ApiRow:
    """Change the call ``name`` by ``edit``, in a thread, since calls may be large; the others are not read."""
    text = await asyncio.to_thread(edit, stored_definition(before.definition))
    if text == before.definition:
        return before
    after = replace(before, definition=text, revision=before.revision + 1, updated_at=services.clock.now())
    await tx.apis.replace(after)
    known = definition_of(before.definition).calls.get(name)
    call = definition_of(text).calls.get(name)
    if known is not None and (call is None or call.response != known.response):
        await tx.drift.forget(after.id, name)
    return after


def _check_revision(row: ApiRow, revisions: Sequence[int] | None) -> None:
    if revisions is not None and row.revision not in revisions:
        msg = f"The API was changed meanwhile; it is at revision {row.revision}. Read it again, then change it."
        raise LostUpdate(msg)


def _view(row: ApiRow, name: str) -> CallView:
    return CallView(row, name, find_call(definition_of(row.definition), name))


def _node(wanted: str | Mapping[str, Any]) -> tree.Node:
    """A call as it was sent; one that is text, YAML or JSON, keeps its lines for the problems that are told."""
    content = tree.compose(wanted) if isinstance(wanted, str) else tree.plant(wanted)
    if content.sort is not tree.Sort.MAPPING:
        msg = "A call is a mapping, such as {method: GET, path: /models}. Write it as the definition does."
        raise InvalidInput(msg, param="definition")
    return content
