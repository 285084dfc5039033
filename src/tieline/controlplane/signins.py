"""Signing people in: an operator asks for it, a browser or a device goes through it, a connection comes out.

A link begins a sign-in in a browser, which gets a mark of its own; the provider sends that browser back with a state
that is good once. Only the browser with the mark finishes, so that nobody can be led to finish what another began
(RFC 9700 section 4.7). Links, states and marks have 256 random bits and are kept as hashes.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import SignInBegun, SignInFinished, SignInRefused
from tieline.controlplane.apis import find_api
from tieline.controlplane.apps import find_app
from tieline.controlplane.compiled import definition_in
from tieline.controlplane.inputs import checked_id, checked_title, not_found
from tieline.controlplane.returning import checked_return
from tieline.controlplane.services import Services
from tieline.core.errors import Forbidden, InvalidInput, InvalidRequest, NotFound, NotReady, TielineError
from tieline.core.ids import new_id
from tieline.core.names import Environment
from tieline.ports.apis import ApiRow
from tieline.ports.connections import ConnectionKey, ConnectionRow, SealedToken
from tieline.ports.signins import SignInRow
from tieline.ports.store import Reading, Writing
from tieline.schemes.connections import SHARED
from tieline.schemes.flow import DeviceSignIn, IssuerRefused, Pending, SigningIn, SigningInByDevice, Token
from tieline.schemes.registry import sign_in_schemes
from tieline.schemes.sign_in_context import pack
from tieline.vault.envelope import Place

START: Final = "/api/v1/oauth/start"
CALLBACK: Final = "/api/v1/oauth/callback"
LINK_SECONDS: Final = 600
DEVICE_SECONDS_MOST: Final = 1_800
INTERVAL_LEAST: Final = 1.0
KEPT_TABLE: Final = "sign_ins"

_STORE_TRIES: Final = 20
_STORE_PAUSE: Final = 0.5
_TOKEN_BYTES: Final = 32
_FORM: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class NewSignIn:
    """Who shall sign in to what. ``app`` and ``user`` go together; without them it is the shared connection.

    ``position`` is that of the scheme among the API's, None for the first that people sign in to. ``return_to`` is
    where the browser goes afterwards.
    """

    api: str
    environment: Environment = "live"
    app: str | None = None
    user: str | None = None
    position: int | None = None
    return_to: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectLink:
    """Where a browser begins a sign-in, until ``expires_at``."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """Where a browser that opened a link goes, and the mark that it keeps."""

    url: str
    browser: str


@dataclass(frozen=True, slots=True)
class EndedSignIn:
    """How a browser's sign-in ended: ``problem`` is None where it is connected; ``return_to`` is where it goes now."""

    row: SignInRow
    title: str
    account: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Device:
    """A sign-in on another device that has begun, and what the person is shown."""

    id: str
    shown: DeviceSignIn
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PolledDevice:
    """How a device's sign-in stands; ``interval`` seconds until the next question makes sense."""

    state: Literal["pending", "connected", "refused"]
    interval: float | None = None
    connection: ConnectionRow | None = None
    problem: str | None = None


async def begin(services: Services, caller: Caller, new: NewSignIn) -> ConnectLink:
    """A link that begins a sign-in in a browser, good for ten minutes. Needs the role editor.

    Raises:
        NotFound: there is no such API or app.
        InvalidInput: nobody signs in to this API, or not in the name of this user, or ``return_to`` is not allowed.
    """
    require(caller, Role.EDITOR)
    now = services.clock.now()
    link = secrets.token_urlsafe(_TOKEN_BYTES)
    return_to = checked_return(new.return_to, services.console_url, services.return_origins)
    async with services.store.write(caller) as tx:
        row = await _new_row(tx, caller, new, now)
        row = replace(row, return_to=return_to, expires_at=now + timedelta(seconds=LINK_SECONDS))
        await tx.sign_ins.forget(now)
        await tx.sign_ins.add(row, _hash(link))
        await tx.audit.add(_begun(row, device=False))
    return ConnectLink(f"{services.console_url}{START}?link={link}", row.expires_at)


async def open_link(services: Services, link: str, browser: str | None) -> OpenedLink:
    """Where a browser that opened ``link`` goes; ``browser`` is the mark it has from an earlier sign-in, if any.

    A link may be opened again, as programs that look at links do before people can. It is for whoever holds it.

    Raises:
        NotFound: the link is not known, or no longer.
        IssuerRefused, UpstreamError, CredentialMissing: the sign-in cannot begin now.
    """
    row = None
    if _FORM.fullmatch(link) is not None:
        async with services.store.read() as rx:
            row = await rx.sign_ins.by_link(_hash(link))
    row = _current(row, services.clock.now())
    state = secrets.token_urlsafe(_TOKEN_BYTES)
    mark = browser if browser is not None and _FORM.fullmatch(browser) else secrets.token_urlsafe(_TOKEN_BYTES)
    begun, fingerprint = await services.issuers.begin(row.key, services.console_url + CALLBACK, state)
    place = Place(KEPT_TABLE, row.id, "kept", 0, row.key.environment)
    context = services.intake.seal(place, pack(begun.context)) if begun.context else None
    async with services.store.write(_browser(row)) as tx:
        if await tx.sign_ins.get(row.id) is None:
            raise _unknown()
        await tx.sign_ins.begin(
            replace(row, fingerprint=fingerprint, browser_hash=_hash(mark), context=context), _hash(state)
        )
    return OpenedLink(begun.url, mark)


async def finish(services: Services, answer: Mapping[str, str], browser: str | None) -> EndedSignIn:
    """What comes of the query that a provider sent a browser back with; ``browser`` is the browser's mark.

    The state is used up before the issuer is asked, so that nothing is done twice.

    Raises:
        InvalidRequest, NotFound: there is no state, or it is not known, or no longer.
        Forbidden: another browser began this sign-in.
    """
    state = answer.get("state", "")
    if _FORM.fullmatch(state) is None:
        raise InvalidRequest("This address is where providers send people back to; the query lacks its state.")
    async with services.store.read() as rx:
        row = await rx.sign_ins.by_state(_hash(state))
        row = _current(row, services.clock.now())
        title = await _title(rx, row)
    if browser is None or not hmac.compare_digest(_hash(browser), row.browser_hash or b""):
        raise Forbidden(
            "This sign-in was begun in another browser. Open the link again in this one, and sign in there."
        )
    async with services.store.write(_browser(row)) as tx:
        if not await tx.sign_ins.remove(row.id):
            raise _unknown()
    try:
        token = await services.issuers.finish(row, answer)
    except TielineError as error:
        async with services.store.write(_browser(row)) as tx:
            await tx.audit.add(_refused(row, error.public))
        return EndedSignIn(row, title, None, error.public)
    await _connect(services, _browser(row), row, token)
    return EndedSignIn(row, title, token.account, None)


async def begin_device(services: Services, caller: Caller, new: NewSignIn) -> Device:
    """Begin a sign-in on another device (RFC 8628). Needs the role editor.

    Raises:
        NotFound, InvalidInput: as ``begin``.
        IssuerRefused, UpstreamError, CredentialMissing: the sign-in cannot begin now.
    """
    require(caller, Role.EDITOR)
    now = services.clock.now()
    async with services.store.read() as rx:
        row = await _new_row(rx, caller, new, now, device=True)
    shown, fingerprint = await services.issuers.begin_device(row.key)
    place = Place(KEPT_TABLE, row.id, "kept", 0, row.key.environment)
    row = replace(
        row,
        fingerprint=fingerprint,
        context=services.intake.seal(place, pack(shown.context)) if shown.context else None,
        expires_at=now + timedelta(seconds=min(shown.expires_in, DEVICE_SECONDS_MOST)),
        next_poll_at=now + timedelta(seconds=max(shown.interval, INTERVAL_LEAST)),
    )
    async with services.store.write(caller) as tx:
        await tx.sign_ins.forget(now)
        await tx.sign_ins.add(row)
        await tx.audit.add(_begun(row, device=True))
    return Device(row.id, shown, row.expires_at)


async def poll_device(services: Services, caller: Caller, api: str, sign_in_id: str) -> PolledDevice:
    """How a sign-in on another device stands. Needs the role editor.

    The issuer is asked no more often than it wants, however often this is called.

    Raises:
        NotFound: there is no such sign-in of this API, or no longer.
        UpstreamError: the issuer cannot be asked now; the sign-in goes on.
    """
    require(caller, Role.EDITOR)
    now = services.clock.now()
    async with services.store.write(caller) as tx:
        found = await tx.sign_ins.get(checked_id(sign_in_id, "sgn", "sign-in"))
        row = _current(found if found is not None and found.api == api else None, now)
        if row.next_poll_at is None:
            raise not_found("sign-in on a device")
        wait = (row.next_poll_at - now).total_seconds()
        if wait > 0:
            return PolledDevice("pending", wait)
        await tx.sign_ins.postpone(row.id, now + timedelta(seconds=LINK_SECONDS))
    try:
        polled = await services.issuers.poll_device(row)
    except TielineError as error:
        if not isinstance(error, IssuerRefused) or not error.final:
            await _postpone(services, caller, row, INTERVAL_LEAST)
            raise
        async with services.store.write(caller) as tx:
            await tx.sign_ins.remove(row.id)
            await tx.audit.add(_refused(row, error.public))
        return PolledDevice("refused", problem=error.public)
    if isinstance(polled, Pending):
        await _postpone(services, caller, row, polled.interval)
        return PolledDevice("pending", max(polled.interval, INTERVAL_LEAST))
    return PolledDevice("connected", connection=await _connect(services, caller, row, polled))


async def _postpone(services: Services, by: Caller, row: SignInRow, seconds: float) -> None:
    until = services.clock.now() + timedelta(seconds=max(seconds, INTERVAL_LEAST))
    async with services.store.write(by) as tx:
        await tx.sign_ins.postpone(row.id, until)


async def _connect(services: Services, by: Caller, row: SignInRow, token: Token) -> ConnectionRow:
    """Keep the token that a sign-in gave. Raises ``NotFound`` where its API or app went meanwhile.

    While the store is away it is tried again, for ten seconds: the code that it was got with cannot be used twice.
    """
    for _ in range(_STORE_TRIES):
        with suppress(NotReady):
            return await _stored(services, by, row, token)
        await asyncio.sleep(_STORE_PAUSE)
    return await _stored(services, by, row, token)


async def _stored(services: Services, by: Caller, row: SignInRow, token: Token) -> ConnectionRow:
    now, key = services.clock.now(), row.key
    async with services.store.write(by) as tx:
        api = await tx.apis.get(row.api)
        gone = api is None or api.id != key.api_id
        if gone or (key.app_id and await tx.apps.get(key.app_id) is None):
            raise _unknown()
        await tx.sign_ins.remove(row.id)
        connection_id, generation = await tx.connections.slot(key, row.created_by, now)
        sealed = {
            name: services.intake.seal(
                Place("connection_secrets", connection_id, name, generation, key.environment), value
            )
            for name, value in token.values.items()
            if value
        }
        kept = SealedToken(row.fingerprint, sealed, token.expires_at, token.scopes, token.account)
        await tx.connections.fill(connection_id, generation, kept, now)
        connection = await tx.connections.get(connection_id)
        assert connection is not None  # it was just kept
        await tx.audit.add(
            SignInFinished(
                target=connection_id,
                sign_in=row.id,
                api=row.api,
                environment=key.environment,
                app=row.app,
                user=key.user,
                account=connection.account,
            )
        )
    return connection


async def _new_row(
    rx: Reading | Writing, caller: Caller, new: NewSignIn, now: datetime, *, device: bool = False
) -> SignInRow:
    """A sign-in that may be begun, without what begins it."""
    api = await find_api(rx.apis, new.api)
    position, mode = _scheme(api, new, device=device)
    if (new.app is None) != (new.user is None):
        missing = "app" if new.app is None else "user"
        raise InvalidInput("app and user go together: a user is known to one app. Give both or neither.", param=missing)
    if new.app is None or new.user is None:
        if mode == "per_user":
            raise InvalidInput("This API has connections of end users only. Say which app and user.", param="user")
        key, app_name = ConnectionKey(api.id, new.environment, position), None
    else:
        if mode == SHARED:
            msg = "This API has one shared connection. Set connections: per_user in its auth to have one for each user."
            raise InvalidInput(msg, param="user")
        app = await find_app(rx.apps, new.app)
        if api.id not in app.apis:
            raise InvalidInput("The app may not use this API. Add the API to the app first.", param="app")
        user = checked_title(new.user, "user")
        key, app_name = ConnectionKey(api.id, new.environment, position, app.id, user), app.name
    return SignInRow(new_id("sgn"), key, api.name, app_name, now, caller.id, now)


def _scheme(api: ApiRow, new: NewSignIn, *, device: bool) -> tuple[int, str]:
    """Position and mode of the scheme that is signed in to."""
    definition = definition_in(api.definition, new.environment)
    found = sign_in_schemes(definition, SigningInByDevice if device else SigningIn)
    chosen = [each for each in found if new.position in {None, each[0]}]
    if not chosen:
        how = "signs in on a device" if device else "signs in"
        raise InvalidInput(f"Nobody {how} to this API, or not by this scheme of its auth.", param="api")
    return chosen[0]


async def _title(rx: Reading, row: SignInRow) -> str:
    api = await rx.apis.get(row.api)
    return row.api if api is None else definition_in(api.definition, row.key.environment).title


def _current(row: SignInRow | None, now: datetime) -> SignInRow:
    if row is None or row.expires_at <= now:
        raise _unknown()
    return row


def _unknown() -> NotFound:
    return NotFound("This sign-in is not known here, was finished, or took too long. Ask for another link.")


def _browser(row: SignInRow) -> Caller:
    """Who a browser is to the audit: the sign-in that it goes through."""
    return Caller("browser", row.id, "a browser", Role.VIEWER)


def _begun(row: SignInRow, *, device: bool) -> SignInBegun:
    key = row.key
    return SignInBegun(
        target=row.id, api=row.api, environment=key.environment, app=row.app, user=key.user, device=device
    )


def _refused(row: SignInRow, why: str) -> SignInRefused:
    key = row.key
    return SignInRefused(
        target=row.id, api=row.api, environment=key.environment, app=row.app, user=key.user, why=why[:1000]
    )


def _hash(token: str) -> bytes:
    """What a link, state or mark is kept as; each has 256 random bits, so that no salt is needed."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
