"""Admin tokens: a machine's access to the admin API. Minted, shown once, found by keyed hash, revoked for good."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import TokenCreated, TokenRevoked
from tieline.controlplane import tokenform
from tieline.controlplane.inputs import checked_id, checked_page, checked_title, expiry, not_found
from tieline.controlplane.services import Services
from tieline.core.clock import rfc3339
from tieline.core.errors import InvalidInput, InvalidToken, NotReady
from tieline.core.ids import new_id
from tieline.core.pages import Page, PageRequest
from tieline.core.secret import Secret
from tieline.ports.tokens import TokenRow

_TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class NewToken:
    """What an admin token shall be: ``expires_in`` is in seconds, None for never."""

    name: str
    role: Role
    expires_in: int | None = None


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A token just made, with the secret that is never shown again."""

    row: TokenRow
    secret: Secret


async def authenticate(services: Services, presented: bytes) -> Caller:
    """Who holds the token ``presented``. Needs no role: it is how one comes to have one.

    Raises:
        InvalidToken: it has not the form of an admin token, is not known, has expired or was revoked.
    """
    if not tokenform.has_form(presented):
        msg = 'This is no admin token. Send "Authorization: Bearer tla_…" and check that the token was copied whole.'
        raise InvalidToken(msg)
    now = services.clock.now()
    async with services.store.read() as rx:
        row = await rx.tokens.by_hash(tokenform.keyed_hash(services.token_pepper, presented))
    if row is None:
        msg = "This admin token is not known here. Ask an owner for a new one (`tieline token create NAME`)."
        raise InvalidToken(msg)
    if row.revoked_at is not None:
        msg = "This admin token was revoked. Ask an owner for a new one (`tieline token create NAME`)."
        raise InvalidToken(msg)
    if row.expires_at is not None and row.expires_at <= now:
        msg = "This admin token has expired. Ask an owner for a new one (`tieline token create NAME`)."
        raise InvalidToken(msg)
    if row.last_used_at is None or now - row.last_used_at >= _TOUCH_EVERY:
        with suppress(NotReady):  # a store that cannot be written now can still be read
            await services.store.touch_token(row.id, now.replace(second=0, microsecond=0))
    return Caller("token", row.id, row.name, row.role)


async def create(services: Services, caller: Caller, new: NewToken) -> MintedToken:
    """Mint an admin token. Needs the role owner."""
    require(caller, Role.OWNER)
    now = services.clock.now()
    row = TokenRow(
        id=new_id("tok"),
        name=checked_title(new.name, "name"),
        role=new.role,
        created_at=now,
        created_by=caller.id,
        expires_at=expiry(new.expires_in, now),
    )
    secret = tokenform.mint()
    async with services.store.write(caller) as tx:
        await tx.tokens.add(row, tokenform.keyed_hash(services.token_pepper, secret.reveal_bytes()))
        ends = rfc3339(row.expires_at) if row.expires_at else None
        await tx.audit.add(TokenCreated(target=row.id, name=row.name, role=row.role.value, expires_at=ends))
    return MintedToken(row, secret)


async def list_tokens(services: Services, caller: Caller, page: PageRequest) -> Page[TokenRow]:
    """Admin tokens, never their secrets. Needs the role owner."""
    require(caller, Role.OWNER)
    async with services.store.read() as rx:
        return await rx.tokens.list(checked_page(page, "tok"))


async def revoke(services: Services, caller: Caller, token_id: str) -> None:
    """Revoke an admin token for good; one that is revoked already stays so. Needs the role owner.

    Raises:
        NotFound: there is no such token.
        InvalidInput: it is the last owner token that works, without which nobody could make another.
    """
    require(caller, Role.OWNER)
    now = services.clock.now()
    async with services.store.write(caller) as tx:
        row = await tx.tokens.get(checked_id(token_id, "tok", "admin token"))
        if row is None:
            raise not_found("admin token")
        if row.revoked_at is not None:
            return
        if row.role is Role.OWNER and _works(row, now) and await tx.tokens.owners(now) == 1:
            msg = "This is the last owner token that works. Make another owner token first, then revoke this one."
            raise InvalidInput(msg)
        await tx.tokens.revoke(row.id, now)
        await tx.audit.add(TokenRevoked(target=row.id, name=row.name))


def _works(row: TokenRow, now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)
