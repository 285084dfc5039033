"""Routes of app keys."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from tieline.controlplane import allows, keys
from tieline.controlplane.keys import KeyView, MintedKey
from tieline.core.names import Environment
from tieline.web.api.budgets import KeyBudgetBody
from tieline.web.api.limits import LimitsBody, Models
from tieline.web.api.shared import (
    Asked,
    CallerHere,
    Lifetime,
    Listing,
    PageHere,
    ServicesHere,
    Shown,
    Strict,
    Time,
    Title,
)

router = APIRouter(tags=["Keys"])

Networks = Annotated[
    list[str],
    Field(
        max_length=keys.NETWORKS_MOST, description="Networks it may call from; none: any.", examples=[["192.0.2.0/24"]]
    ),
]
Grants = Annotated[dict[str, dict[str, str]], Field(examples=[{"openai": {"chat_completions": "request"}}])]


class PermissionsBody(Strict):
    """What a key may do. ``grants`` are levels by API and area, for the mode restricted; a parent sets its children."""

    mode: Literal["all", "restricted", "read_only"]
    grants: Grants = Field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As the control plane takes it."""
        return {"mode": self.mode, "grants": self.grants}


class KeyBody(Strict):
    """A key to mint."""

    name: Title | None = None
    permissions: PermissionsBody = PermissionsBody(mode="all")
    environment: Environment = "live"
    expires_in: Lifetime | None = None
    from_ip: Networks = Field(default_factory=list)
    limits: LimitsBody = LimitsBody()
    models: Models = Field(default_factory=list)
    budget: KeyBudgetBody | None = Field(default=None, description="A budget for this key alone, named after its id.")


class KeyPatch(Strict):
    """What shall change about a key; what is left out stays. ``expires_in`` null means no expiry."""

    name: Title | None = None
    permissions: PermissionsBody = PermissionsBody(mode="all")
    expires_in: Lifetime | None = None
    from_ip: Networks = Field(default_factory=list)
    limits: LimitsBody = LimitsBody()
    models: Models = Field(default_factory=list)


class RotateBody(Strict):
    """How long the secrets that work now go on working."""

    overlap: int = Field(
        default=keys.OVERLAP_DEFAULT, ge=0, le=keys.OVERLAP_MOST, description="Seconds; 0 ends them now."
    )


class SecretShown(Shown):
    """A secret of a key that works now, in its redacted form."""

    redacted: str
    created_at: Time
    expires_at: Time | None


class KeyShown(Shown):
    """A key. ``redacted`` is its newest secret; ``summary`` says in a sentence what it may do."""

    id: str
    app_id: str
    app: str
    name: str
    environment: Environment
    state: Literal["active", "expired", "revoked"]
    redacted: str
    permissions: dict[str, Any]
    summary: str
    from_ip: list[str]
    limits: dict[str, Any]
    models: list[str]
    expires_at: Time | None
    created_at: Time
    created_by: str
    last_used_at: Time | None
    revoked_at: Time | None
    secrets: list[SecretShown]


class KeyMinted(KeyShown):
    """A key with its new secret, which is never shown again."""

    secret: str


class AllowsAsked(Asked):
    """An operation: ``path`` is below the API's base URL. ``api`` may be left out where the app uses one only."""

    method: str = Field(max_length=32, examples=["POST"])
    path: str = Field(max_length=allows.PATH_MOST, examples=["/chat/completions"])
    api: str | None = Field(None, max_length=63)


class AllowsShown(Shown):
    """Whether the key may; the area and level that it counts as, null where no area covers it; if not, why."""

    allowed: bool
    area: str | None
    level: str | None
    reason: str | None


def _shown(view: KeyView) -> KeyShown:
    row = view.row
    return KeyShown(
        id=row.id,
        app_id=row.app_id,
        app=view.app,
        name=row.name,
        environment=row.environment,
        state=view.state,
        redacted=row.secrets[-1].redacted,
        permissions=dict(row.permissions),
        summary=view.summary,
        from_ip=list(row.from_ip),
        limits=dict(row.limits),
        models=list(row.models),
        expires_at=row.expires_at,
        created_at=row.created_at,
        created_by=row.created_by,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        secrets=[
            SecretShown(redacted=each.redacted, created_at=each.created_at, expires_at=each.expires_at)
            for each in view.secrets
        ],
    )


def _minted(minted: MintedKey) -> KeyMinted:
    return KeyMinted(**dict(_shown(minted.view)), secret=minted.secret.reveal_bytes().decode())


@router.post("/apps/{app}/keys", status_code=201)
async def create_key(
    app: str, body: KeyBody, response: Response, services: ServicesHere, caller: CallerHere
) -> KeyMinted:
    """Mint a key. Its secret is in this answer and nowhere else, ever. Needs the role editor."""
    new = keys.NewKey(
        body.name,
        body.permissions.plain(),
        body.environment,
        body.expires_in,
        body.from_ip,
        body.limits.plain(),
        body.models,
        body.budget.plain() if body.budget is not None else None,
    )
    minted = await keys.create(services, caller, app, new)
    response.headers["Location"] = f"/api/v1/keys/{minted.view.row.id}"
    return _minted(minted)


@router.get("/apps/{app}/keys")
async def list_keys(app: str, page: PageHere, services: ServicesHere, caller: CallerHere) -> Listing[KeyShown]:
    """List the keys of an app, revoked ones too. Needs the role viewer."""
    return Listing[KeyShown].of(await keys.list_keys(services, caller, app, page.request()), _shown)


@router.get("/keys/{id}")
async def show_key(id: str, services: ServicesHere, caller: CallerHere) -> KeyShown:
    """Show a key. Needs the role viewer."""
    return _shown(await keys.show(services, caller, id))


@router.patch("/keys/{id}")
async def change_key(id: str, body: KeyPatch, services: ServicesHere, caller: CallerHere) -> KeyShown:
    """Change a key's name, permissions, expiry, networks, limits or models; its secret stays. Needs the role editor."""
    wanted = keys.KeyChange(
        frozenset(body.model_fields_set),
        body.name,
        body.permissions.plain(),
        body.expires_in,
        body.from_ip,
        body.limits.plain(),
        body.models,
    )
    return _shown(await keys.change(services, caller, id, wanted))


@router.delete("/keys/{id}", status_code=204)
async def revoke_key(id: str, services: ServicesHere, caller: CallerHere) -> None:
    """Revoke a key with all its secrets, for good. Needs the role editor."""
    await keys.revoke(services, caller, id)


@router.post("/keys/{id}/rotate")
async def rotate_key(id: str, services: ServicesHere, caller: CallerHere, body: RotateBody | None = None) -> KeyMinted:
    """Make a new secret, shown once; those before it go on working for the overlap. Needs the role editor."""
    return _minted(await keys.rotate(services, caller, id, (body or RotateBody()).overlap))


@router.get("/keys/{id}/allows")
async def explain_key(
    id: str, asked: Annotated[AllowsAsked, Query()], services: ServicesHere, caller: CallerHere
) -> AllowsShown:
    """Whether a key may do an operation, and why not: the decision that the relay makes. Needs the role viewer."""
    found = await allows.explain(services, caller, id, allows.Question(asked.method, asked.path, asked.api))
    return AllowsShown(allowed=found.allowed, area=found.area, level=found.level, reason=found.reason)
