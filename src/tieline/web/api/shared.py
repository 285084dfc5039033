"""What the routes share: who calls, the services, pages, times, and models that refuse what they do not know."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from tieline.access.caller import Caller
from tieline.controlplane.services import Services
from tieline.core.clock import rfc3339
from tieline.core.errors import InvalidInput
from tieline.core.pages import LIMIT_DEFAULT, LIMIT_MOST, Page, PageRequest

Item = TypeVar("Item")
Row = TypeVar("Row")

Environment = Literal["live", "development"]
Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
Title = Annotated[str, Field(min_length=1, max_length=200)]
Lifetime = Annotated[int, Field(ge=1, description="Seconds from now; null or left out for no expiry.")]

DEPTH_MOST = 64

_BEARER = HTTPBearer(bearerFormat="tla_…", description="An admin token.", auto_error=False)


class Strict(BaseModel):
    """A body: unknown members and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Asked(BaseModel):
    """The parameters of a query: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Many(Shown, Generic[Item]):
    """A page of a list. ``next`` is the ``after`` of the page that follows, null at the end."""

    items: list[Item]
    next: str | None

    @classmethod
    def of(cls, page: Page[Row], show: Callable[[Row], Item]) -> "Many[Item]":
        """The page with each row as ``show`` shows it."""
        return cls(items=[show(row) for row in page.items], next=page.next)


class PageAsked(Asked):
    """Which page of a list."""

    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MOST, description="How many items at most.")
    after: str | None = Field(None, max_length=100, description='The "next" of the page before.')

    def request(self) -> PageRequest:
        """The page as the control plane is asked for it."""
        return PageRequest(self.limit, self.after)


class Failure(Shown):
    """What went wrong: a text that says what to do, a stable code, and what it is about."""

    message: str
    type: Literal["admin_error"]
    code: str
    param: str | None
    request_id: str


class Problem(Shown):
    """An error answer."""

    error: Failure


def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def _caller(request: Request, _: Annotated[object, Security(_BEARER)]) -> Caller:
    """The caller that the gate found; the bearer scheme stands here for the OpenAPI document."""
    return cast("Caller", request.scope["state"]["caller"])


ServicesHere = Annotated[Services, Depends(_services)]
CallerHere = Annotated[Caller, Depends(_caller)]
PageHere = Annotated[PageAsked, Query()]


def checked_depth(value: Any, field: str) -> Any:
    """``value`` if its lists and objects nest at most 64 deep. Raises ``InvalidInput``."""
    level = [value]
    for _ in range(DEPTH_MOST):
        level = [
            below
            for each in level
            if isinstance(each, dict | list)
            for below in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return value
    msg = f"{field} nests more than {DEPTH_MOST} deep. Flatten it."
    raise InvalidInput(msg, param=field)
