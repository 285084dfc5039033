"""What the routes share: who calls, the services, pages, times, and models that refuse what they do not know."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from tieline.access.caller import Caller
from tieline.controlplane.services import Services
from tieline.core.clock import rfc3339
from tieline.core.pages import LIMIT_DEFAULT, LIMIT_MOST, Page, PageRequest
from tieline.web.problems import UNFIT

Item = TypeVar("Item")
Row = TypeVar("Row")

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

    @model_validator(mode="before")
    @classmethod
    def refuse_unfit(cls, value: Any) -> Any:
        """Refuse what nests too deep or is no Unicode, before a field sees it."""
        problem = unfit(value)
        if problem is not None:
            raise PydanticCustomError(UNFIT, "{problem}", {"problem": problem})
        return value


class Asked(BaseModel):
    """The parameters of a query: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Listing(Shown, Generic[Item]):
    """A page of a list. ``next`` is the ``after`` of the page that follows, null at the end."""

    items: list[Item]
    next: str | None

    @classmethod
    def of(cls, page: Page[Row], show: Callable[[Row], Item]) -> "Listing[Item]":
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


class ErrorDocument(Shown):
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


def unfit(value: Any) -> str | None:
    """What makes JSON unfit before anyone looks at what it says, to follow the name of the thing; None for nothing."""
    level = [value]
    for _ in range(DEPTH_MOST + 1):
        if not all(_is_unicode(each) for each in level):
            return "holds half a surrogate pair, which is no text. Send valid Unicode"
        level = [below for each in level for below in _members(each)]
        if not level:
            return None
    return f"nests more than {DEPTH_MOST} deep. Flatten it"


def _members(value: Any) -> Iterable[Any]:
    """What stands directly within a list or object, its names included."""
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    return value if isinstance(value, list) else ()


def _is_unicode(value: Any) -> bool:
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
