"""App keys: minted, shown once, changed without a new secret, rotated with an overlap, revoked for good."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from tieline.access import appkey
from tieline.access.caller import Caller, Role, require
from tieline.access.limits import RequestLimits, checked_models
from tieline.access.permissions import Permissions, summary
from tieline.audit.events import KeyChanged, KeyCreated, KeyRevoked, KeyRotated
from tieline.controlplane.apps import find_app
from tieline.controlplane.budgets import add_budget
from tieline.controlplane.grants import EVERYTHING, checked_permissions, tables_of
from tieline.controlplane.inputs import checked_id, checked_page, checked_title, expiry, not_found
from tieline.controlplane.services import Services
from tieline.core.clock import rfc3339
from tieline.core.errors import InvalidInput
from tieline.core.ids import new_id
from tieline.core.names import Environment
from tieline.core.pages import Page, PageRequest
from tieline.core.secret import Secret
from tieline.ports.apps import AppRow
from tieline.ports.keys import KeyReader, KeyRow, KeySecretRow
from tieline.ports.store import Reading, Writing

KeyState = Literal["active", "expired", "revoked"]

UNNAMED = "App key"
NETWORKS_MOST = 64
OVERLAP_DEFAULT = 86_400
OVERLAP_MOST = 90 * 86_400
SECRETS_MOST = 5


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key shall be: ``permissions`` is ``{"mode", "grants"}``; ``expires_in`` is in seconds, None for never.

    ``limits`` are as ``access.limits.RequestLimits.from_json`` reads them; no ``models`` means any. ``budget`` is
    the ``amount`` and the terms of one for this key alone.
    """

    name: str | None = None
    permissions: Mapping[str, Any] = field(default_factory=lambda: EVERYTHING)
    environment: Environment = "live"
    expires_in: int | None = None
    from_ip: Sequence[str] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[str] = ()
    budget: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What shall change about a key: only the members named in ``given`` are looked at, the others stay."""

    given: frozenset[str]
    name: str | None = None
    permissions: Mapping[str, Any] = field(default_factory=lambda: EVERYTHING)
    expires_in: int | None = None
    from_ip: Sequence[str] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as operators see it: its row, its app's name, whether it works now, and the secrets that still do.

    ``summary`` says in a sentence what it may do.
    """

    row: KeyRow
    app: str
    state: KeyState
    secrets: tuple[KeySecretRow, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key with the secret just made for it, which is never shown again."""

    view: KeyView
    secret: Secret


async def create(services: Services, caller: Caller, app: str, new: NewKey) -> MintedKey:
    """Mint a key for an app. Needs the role editor, which may grant everything, so no key holds more than its creator.

    Raises:
        NotFound: there is no such app.
        InvalidInput: the name, a grant, the expiry, a network, a limit, a model or the budget cannot be.
    """
    require(caller, Role.EDITOR)
    now = services.clock.now()
    secret = appkey.mint(new.environment)
    async with services.store.write(caller) as tx:
        owner = await find_app(tx.apps, app)
        first = _secret_row(secret, now)
        row = KeyRow(
            id=new_id("key"),
            app_id=owner.id,
            name=UNNAMED if new.name is None else checked_title(new.name, "name"),
            environment=new.environment,
            permissions=await _permissions(tx, owner, new.permissions),
            expires_at=expiry(new.expires_in, now),
            from_ip=checked_networks(new.from_ip),
            created_at=now,
            created_by=caller.id,
            limits=RequestLimits.from_json(new.limits).to_json(),
            models=checked_models(new.models),
            secrets=(first,),
        )
        await tx.keys.add(row, appkey.keyed_hash(services.app_key_pepper, secret.reveal_bytes()))
        await tx.audit.add(
            KeyCreated(
                target=row.id,
                app=owner.name,
                name=row.name,
                environment=row.environment,
                permissions=row.permissions,
                redacted=first.redacted,
                expires_at=_text(row.expires_at),
                from_ip=row.from_ip,
                limits=row.limits,
                models=row.models,
            )
        )
        if new.budget is not None:
            terms = {**new.budget, "applies_to": {"keys": [row.id]}}
            await add_budget(services, tx, caller, f"Budget of {row.id}", (terms.pop("amount", None), terms))
        view = await _view(tx, row, owner, now)
    return MintedKey(view, secret)


async def list_keys(services: Services, caller: Caller, app: str, page: PageRequest) -> Page[KeyView]:
    """The keys of an app, revoked ones too. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    now = services.clock.now()
    async with services.store.read() as rx:
        owner = await find_app(rx.apps, app)
        rows = await rx.keys.list(owner.id, checked_page(page, "key"))
        return Page([await _view(rx, row, owner, now) for row in rows.items], rows.next)


async def show(services: Services, caller: Caller, key_id: str) -> KeyView:
    """One key. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        row, owner = await find_key(rx, key_id)
        return await _view(rx, row, owner, services.clock.now())


async def change(services: Services, caller: Caller, key_id: str, wanted: KeyChange) -> KeyView:
    """Change a key's name, permissions, expiry, networks, limits or models; its secret stays. Needs the role editor.

    Raises:
        NotFound: there is no such key.
        InvalidInput: it is revoked, or what is wanted cannot be.
    """
    require(caller, Role.EDITOR)
    now = services.clock.now()
    async with services.store.write(caller) as tx:
        before, owner = await find_key(tx, key_id)
        _refuse_revoked(before)
        after = before
        if "name" in wanted.given:
            after = replace(after, name=UNNAMED if wanted.name is None else checked_title(wanted.name, "name"))
        if "permissions" in wanted.given:
            after = replace(after, permissions=await _permissions(tx, owner, wanted.permissions))
        if "expires_in" in wanted.given:
            after = replace(after, expires_at=expiry(wanted.expires_in, now))
        if "from_ip" in wanted.given:
            after = replace(after, from_ip=checked_networks(wanted.from_ip))
        if "limits" in wanted.given:
            after = replace(after, limits=RequestLimits.from_json(wanted.limits).to_json())
        if "models" in wanted.given:
            after = replace(after, models=checked_models(wanted.models))
        if after != before:
            await tx.keys.replace(after)
            await tx.audit.add(KeyChanged(target=after.id, app=owner.name, changed=_changed(before, after)))
        return await _view(tx, after, owner, now)


async def rotate(services: Services, caller: Caller, key_id: str, overlap: int = OVERLAP_DEFAULT) -> MintedKey:
    """Make a new secret for a key and end the older ones in ``overlap`` seconds. Needs the role editor.

    Raises:
        NotFound: there is no such key.
        InvalidInput: it no longer works, the overlap is out of range, or too many of its secrets work already.
    """
    require(caller, Role.EDITOR)
    if not 0 <= overlap <= OVERLAP_MOST:
        msg = f"overlap is in seconds and must be 0 (the old secret ends now) to {OVERLAP_MOST}."
        raise InvalidInput(msg, param="overlap")
    now = services.clock.now()
    ends = now + timedelta(seconds=overlap)
    async with services.store.write(caller) as tx:
        before, owner = await find_key(tx, key_id)
        _refuse_revoked(before)
        if _has_ended(before.expires_at, now):
            msg = "This key has expired. Give it a later expiry first, or mint another key."
            raise InvalidInput(msg)
        if overlap and len(_working(before, now)) >= SECRETS_MOST:
            msg = f"This key has {SECRETS_MOST} secrets that still work. Wait until one ends, or rotate with overlap 0."
            raise InvalidInput(msg, param="overlap")
        secret = appkey.mint(before.environment)
        fresh = _secret_row(secret, now)
        keyed_hash = appkey.keyed_hash(services.app_key_pepper, secret.reveal_bytes())
        await tx.keys.rotate(before.id, fresh, keyed_hash, ends)
        await tx.audit.add(
            KeyRotated(target=before.id, app=owner.name, redacted=fresh.redacted, previous_ends_at=rfc3339(ends))
        )
        after, _ = await find_key(tx, key_id)
        view = await _view(tx, after, owner, now)
    return MintedKey(view, secret)


async def revoke(services: Services, caller: Caller, key_id: str) -> None:
    """Revoke a key with all its secrets for good; one that is revoked already stays so. Needs the role editor.

    Raises:
        NotFound: there is no such key.
    """
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        row, owner = await find_key(tx, key_id)
        if row.revoked_at is None:
            await tx.keys.revoke(row.id, services.clock.now())
            await tx.audit.add(KeyRevoked(target=row.id, app=owner.name, redacted=row.secrets[-1].redacted))


async def find_key(reading: Reading | Writing, key_id: str) -> tuple[KeyRow, AppRow]:
    """The key with this id, and its app. Raises ``NotFound``."""
    keys: KeyReader = reading.keys
    row = await keys.get(checked_id(key_id, "key", "app key"))
    if row is None:
        raise not_found("app key")
    return row, await find_app(reading.apps, row.app_id)


def state_of(row: KeyRow, now: datetime) -> KeyState:
    """Whether the key works at ``now``."""
    if row.revoked_at is not None:
        return "revoked"
    if _has_ended(row.expires_at, now) or not _working(row, now):
        return "expired"
    return "active"


def checked_networks(texts: Sequence[str]) -> tuple[str, ...]:
    """``texts`` as networks in CIDR form; a lone address stands for itself. Raises ``InvalidInput``."""
    if len(texts) > NETWORKS_MOST:
        msg = f"from_ip may hold at most {NETWORKS_MOST} networks."
        raise InvalidInput(msg, param="from_ip")
    networks = []
    for position, text in enumerate(texts):
        try:
            networks.append(str(ipaddress.ip_network(text)))
        except ValueError as error:
            msg = (
                f"from_ip[{position}] is no network. Write an address or CIDR with no bits set behind the prefix, "
                "such as 192.0.2.7 or 192.0.2.0/24."
            )
            raise InvalidInput(msg, param=f"from_ip[{position}]") from error
    return tuple(dict.fromkeys(networks))


async def _permissions(tx: Writing, app: AppRow, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    return (await checked_permissions(tx, app, wanted["mode"], wanted.get("grants") or {})).to_json()


def _secret_row(secret: Secret, now: datetime) -> KeySecretRow:
    return KeySecretRow(new_id("key"), appkey.redacted(secret.reveal_bytes()), now, None)


async def _view(reading: Reading | Writing, row: KeyRow, app: AppRow, now: datetime) -> KeyView:
    sentence = summary(Permissions.from_json(row.permissions), await tables_of(reading, app))
    return KeyView(row, app.name, state_of(row, now), _working(row, now), sentence)


def _working(row: KeyRow, now: datetime) -> tuple[KeySecretRow, ...]:
    return tuple(secret for secret in row.secrets if not _has_ended(secret.expires_at, now))


def _has_ended(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now


def _refuse_revoked(row: KeyRow) -> None:
    if row.revoked_at is not None:
        msg = "This key is revoked, and that is final. Mint another key."
        raise InvalidInput(msg)


def _changed(before: KeyRow, after: KeyRow) -> dict[str, Any]:
    """What differs, as it is now, in values that JSON has."""
    now = {
        "name": after.name,
        "permissions": after.permissions,
        "expires_at": _text(after.expires_at),
        "from_ip": list(after.from_ip),
        "limits": after.limits,
        "models": list(after.models),
    }
    return {name: value for name, value in now.items() if getattr(before, name) != getattr(after, name)}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
