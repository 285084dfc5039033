"""Routes of admin tokens."""

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from tieline.access.caller import Role
from tieline.controlplane import tokens
from tieline.ports.tokens import TokenRow
from tieline.web.api.shared import CallerHere, Lifetime, Listing, PageHere, ServicesHere, Shown, Strict, Time, Title

router = APIRouter(prefix="/tokens", tags=["Tokens"])


class TokenBody(Strict):
    """A token to mint. An owner may do everything, an editor all but people and tokens, a viewer look."""

    name: Title
    role: Literal["owner", "editor", "viewer"] = Field(examples=["editor"])
    expires_in: Lifetime | None = None


class TokenShown(Shown):
    """An admin token, without its secret."""

    id: str
    name: str
    role: str
    created_at: Time
    created_by: str
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class TokenMinted(TokenShown):
    """An admin token with its secret, which is never shown again."""

    secret: str


def _shown(row: TokenRow) -> TokenShown:
    return TokenShown(
        id=row.id,
        name=row.name,
        role=row.role.value,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


@router.post("", status_code=201)
async def create_token(body: TokenBody, services: ServicesHere, caller: CallerHere) -> TokenMinted:
    """Mint an admin token. Its secret is in this answer and nowhere else, ever. Needs the role owner."""
    minted = await tokens.create(services, caller, tokens.NewToken(body.name, Role(body.role), body.expires_in))
    return TokenMinted(**dict(_shown(minted.row)), secret=minted.secret.reveal_bytes().decode())


@router.get("")
async def list_tokens(page: PageHere, services: ServicesHere, caller: CallerHere) -> Listing[TokenShown]:
    """List admin tokens. Needs the role owner."""
    return Listing[TokenShown].of(await tokens.list_tokens(services, caller, page.request()), _shown)


@router.delete("/{id}", status_code=204)
async def revoke_token(id: str, services: ServicesHere, caller: CallerHere) -> None:
    """Revoke an admin token, for good. Needs the role owner."""
    await tokens.revoke(services, caller, id)
