"""Limits as bodies of keys and apps have them, the same for both."""

from typing import Annotated, Any

from pydantic import Field

from tieline.access import limits
from tieline.access.limits import Per
from tieline.web.api.shared import Strict

Count = Annotated[int, Field(ge=1, le=limits.UNITS_MOST)]
Models = Annotated[
    list[str],
    Field(
        max_length=limits.MODELS_MOST,
        description="Models it may name, * stands for what may differ; none: any.",
        examples=[["gpt-4.1*"]],
    ),
]


class RateBody(Strict):
    """So many requests for each period: as many at once after a rest, then evenly spread."""

    requests: Count = Field(examples=[60])
    per: Per


class LimitsBody(Strict):
    """How much at once and over time; what is left out is not limited."""

    rates: list[RateBody] = Field(default_factory=list, max_length=limits.RATES_MOST)
    tokens_per_minute: Count | None = Field(default=None, description="Input and output tokens together.")
    concurrent: int | None = Field(default=None, ge=1, le=limits.CONCURRENT_MOST, description="Requests at once.")
    streams: int | None = Field(
        default=None, ge=1, le=limits.CONCURRENT_MOST, description="Requests that stream, at once."
    )
    body: int | None = Field(default=None, ge=1, le=limits.BODY_MOST, description="Bytes of a request's body.")
    per_address: RateBody | None = Field(
        default=None, description="For each client address; an IPv6 address counts by its /64."
    )

    def plain(self) -> dict[str, Any]:
        """As the control plane takes it."""
        return self.model_dump(exclude_none=True, exclude_defaults=True)
