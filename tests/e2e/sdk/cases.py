"""Wrong requests and failing upstreams: what is asked and what contract section 4 answers, for SDKs in any language."""

from dataclasses import asdict, dataclass, field
from typing import Any

import openai

MODEL = "gpt-4.1-mini"
BODY_MOST = 64 * 1024  # bytes that the API `quick` takes
OTHER_KEY = "another app key"


@dataclass
class Case:
    """One wrong request: what is wrong with it, and what comes of it.

    ``api`` and ``key`` are names of fixtures (``keys``), or taken as they are. ``said`` is part of the message.
    """

    code: str
    raised: type[openai.APIStatusError]
    status: int
    said: str
    api: str = "openai"
    key: str = "live"
    model: str = MODEL
    content: str = "Hello you"
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    param: str | None = None

    def __str__(self) -> str:
        """What pytest calls it."""
        return self.code

    def shown(self) -> dict[str, Any]:
        """As JSON, for tests in another language; the class by its name."""
        return {**asdict(self), "raised": self.raised.__name__}


REFUSALS = [
    Case("invalid_request", openai.BadRequestError, 400, "different app keys", headers={"Tieline-Key": OTHER_KEY}),
    Case("invalid_request", openai.BadRequestError, 400, "override", headers={"X-HTTP-Method-Override": "DELETE"}),
    Case("invalid_app_key", openai.AuthenticationError, 401, 'begins with "tl_live_"', key="provider's"),
    Case("invalid_app_key", openai.AuthenticationError, 401, "checksum does not fit", key="mistyped"),
    Case("invalid_app_key", openai.AuthenticationError, 401, "No such app key", key="unknown"),
    Case("expired_app_key", openai.AuthenticationError, 401, "has expired", key="expired"),
    Case("revoked_app_key", openai.AuthenticationError, 401, "was revoked", key="revoked"),
    Case(
        "missing_permission",
        openai.PermissionDeniedError,
        403,
        'This key needs "Chat completions: Request" on OpenAI.',
        key="models",
        param="openai:chat_completions=request",
    ),
    Case("missing_permission", openai.PermissionDeniedError, 403, "read", key="reader"),
    Case(
        "environment_not_allowed",
        openai.PermissionDeniedError,
        403,
        "belongs to the live environment",
        headers={"Tieline-Environment": "development"},
    ),
    Case("address_not_allowed", openai.PermissionDeniedError, 403, "from your address", key="elsewhere"),
    Case("destination_not_allowed", openai.PermissionDeniedError, 403, "not bound to the host", api="unbound"),
    Case("destination_not_allowed", openai.PermissionDeniedError, 403, "leads to Tieline itself", api="circle"),
    Case("unknown_api", openai.NotFoundError, 404, "no API named 'opnai'", api="opnai", param="opnai"),
    Case("body_too_large", openai.APIStatusError, 413, "65536 bytes", api="quick", content="x" * BODY_MOST),
    Case("uri_too_long", openai.APIStatusError, 414, "longer than", query={"long": "x" * 9000}),
    Case("headers_too_large", openai.APIStatusError, 431, "head is larger", headers={"X-Long": "x" * 40_000}),
    Case("credential_missing", openai.APIStatusError, 424, "tieline credential set bare", api="bare"),
    Case("credential_missing", openai.APIStatusError, 424, "--environment development", key="development"),
    Case("connection_required", openai.APIStatusError, 424, "Say whose", api="unsigned", param="Tieline-Connection"),
    Case(
        "connection_required",
        openai.APIStatusError,
        424,
        "send them to a connect link",
        api="unsigned",
        headers={"Tieline-Connection": "ann"},
    ),
]

FAILURES = [
    Case("upstream_unreachable", openai.InternalServerError, 502, "cannot be reached", api="down"),
    Case(
        "upstream_unreachable",
        openai.InternalServerError,
        502,
        "without an answer",
        api="quick",
        model="sandbox-malformed-http-nothing",
    ),
    Case("upstream_tls_error", openai.InternalServerError, 502, "certificate", api="untrusted"),
    Case(
        "upstream_protocol_error",
        openai.InternalServerError,
        502,
        "not valid HTTP",
        api="quick",
        model="sandbox-malformed-http",
    ),
    Case(
        "upstream_protocol_error",
        openai.InternalServerError,
        502,
        "head of the upstream",
        api="quick",
        model="sandbox-malformed-http-endless-head",
    ),
    Case(
        "upstream_timeout", openai.InternalServerError, 504, "too long", api="quick", model="sandbox-slow-first-byte-5s"
    ),
]
