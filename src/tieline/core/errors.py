"""Every error that Tieline raises on purpose, and the one table that says how each is answered.

    TielineError
    ├── RequestError            what a caller sent
    │   ├── InvalidRequest      invalid_request
    │   ├── InvalidParameter    invalid_parameter
    │   ├── MissingParameter    missing_parameter
    │   ├── MethodNotAllowed    method_not_allowed
    │   ├── BodyTooLarge        body_too_large
    │   ├── UriTooLong          uri_too_long
    │   ├── HeadersTooLarge     headers_too_large
    │   └── IdempotencyInProgress, IdempotencyMismatch
    ├── AppKeyError             who called
    │   ├── MissingAppKey       missing_app_key
    │   ├── InvalidAppKey       invalid_app_key
    │   ├── ExpiredAppKey       expired_app_key
    │   └── RevokedAppKey       revoked_app_key
    ├── Refused                 what the caller may not do
    │   ├── MissingPermission   missing_permission
    │   ├── ModelNotAllowed     model_not_allowed
    │   ├── EnvironmentNotAllowed, AddressNotAllowed, DestinationNotAllowed, BudgetExceeded
    ├── Unknown                 UnknownApi, UnknownCall
    ├── CredentialError         CredentialMissing, ConnectionRequired, ReauthorizationRequired
    ├── UpstreamError           UpstreamUnreachable, UpstreamTlsError, UpstreamProtocolError,
    │                           UpstreamResponseTooLarge, UpstreamTimeout, UpstreamFailed
    ├── Limited                 RateLimited, ConcurrencyLimited
    ├── Unavailable             Overloaded, NotReady, NotRecorded
    ├── AdminError              what an operator asked of the admin API
    │   ├── InvalidToken, Forbidden, NotFound, AlreadyExists, LostUpdate, InvalidInput
    └── StartError              why a process will not start
        ├── SettingsError, RootKeyError, StorageError

An error carries two texts: ``public`` goes to whoever asked and says what happened and what to do;
``detail`` goes to the log only. The codes and statuses are those of the contract (section 4 and 5).
"""

from dataclasses import dataclass
from typing import ClassVar


class TielineError(Exception):
    """An error with a stable ``code``, a ``public`` text and a ``detail`` for the log.

    ``param`` names what was wrong (a parameter, an area, a field); ``retry_after`` is in seconds. ``fields`` are header
    lines, each with its end, that an answer on the app listener has besides.
    """

    code: ClassVar[str] = "internal_error"
    fields: bytes = b""

    def __init__(
        self,
        public: str,
        *,
        detail: str = "",
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(public)
        self.public = public
        self.detail = detail
        self.param = param
        self.retry_after = retry_after

    @property
    def explained(self) -> str:
        """Both texts, for a log line: what happened and what to do, and in brackets the cause."""
        return f"{self.public} ({self.detail})" if self.detail else self.public


class RequestError(TielineError):
    """The request itself cannot be served."""


class InvalidRequest(RequestError):
    code = "invalid_request"


class InvalidParameter(RequestError):
    code = "invalid_parameter"


class MissingParameter(RequestError):
    code = "missing_parameter"


class MethodNotAllowed(RequestError):
    code = "method_not_allowed"


class BodyTooLarge(RequestError):
    code = "body_too_large"


class UriTooLong(RequestError):
    code = "uri_too_long"


class HeadersTooLarge(RequestError):
    code = "headers_too_large"


class IdempotencyInProgress(RequestError):
    code = "idempotency_in_progress"


class IdempotencyMismatch(RequestError):
    code = "idempotency_mismatch"


class AppKeyError(TielineError):
    """The request carries no app key that is good now."""


class MissingAppKey(AppKeyError):
    code = "missing_app_key"


class InvalidAppKey(AppKeyError):
    code = "invalid_app_key"


class ExpiredAppKey(AppKeyError):
    code = "expired_app_key"


class RevokedAppKey(AppKeyError):
    code = "revoked_app_key"


class Refused(TielineError):
    """The key is good, what it asks for is not granted."""


class MissingPermission(Refused):
    code = "missing_permission"


class ModelNotAllowed(Refused):
    code = "model_not_allowed"


class EnvironmentNotAllowed(Refused):
    code = "environment_not_allowed"


class AddressNotAllowed(Refused):
    code = "address_not_allowed"


class DestinationNotAllowed(Refused):
    code = "destination_not_allowed"


class BudgetExceeded(Refused):
    code = "budget_exceeded"


class Unknown(TielineError):
    """What the request names does not exist."""


class UnknownApi(Unknown):
    code = "unknown_api"


class UnknownCall(Unknown):
    code = "unknown_call"


class CredentialError(TielineError):
    """The API has no usable credential for this request."""


class CredentialMissing(CredentialError):
    code = "credential_missing"


class DefinitionUnusable(CredentialMissing):
    """What stands in the definition cannot be used: by this version, in this environment, or with what fills it in."""

    code = "definition_unusable"


class ConnectionRequired(CredentialError):
    code = "connection_required"


class ReauthorizationRequired(CredentialError):
    code = "reauthorization_required"


class UpstreamError(TielineError):
    """The upstream gave no usable answer."""


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"


class UpstreamTlsError(UpstreamError):
    code = "upstream_tls_error"


class UpstreamProtocolError(UpstreamError):
    code = "upstream_protocol_error"


class UpstreamResponseTooLarge(UpstreamError):
    code = "upstream_response_too_large"


class UpstreamTimeout(UpstreamError):
    code = "upstream_timeout"


class UpstreamFailed(UpstreamError):
    """The upstream answered, and what it said is that it failed."""

    code = "upstream_error"


class Limited(TielineError):
    """The request is allowed, but not now: a limit that holds for it is used up."""

    def __init__(self, public: str, *, param: str, retry_after: float, fields: bytes = b"") -> None:
        super().__init__(public, param=param, retry_after=retry_after)
        self.fields = fields


class RateLimited(Limited):
    code = "rate_limited"


class ConcurrencyLimited(Limited):
    code = "concurrency_limited"


class Unavailable(TielineError):
    """Tieline cannot serve this now and says when to come back."""


class Overloaded(Unavailable):
    code = "overloaded"


class NotReady(Unavailable):
    code = "not_ready"


class NotRecorded(Unavailable):
    """The upstream was asked, and its answer is withheld: the record that it waits for could not be stored."""

    code = "not_recorded"


class AdminError(TielineError):
    """An operator's or machine's request to the admin API that is refused."""


class InvalidToken(AdminError):
    code = "invalid_token"


class Forbidden(AdminError):
    code = "forbidden"


class NotFound(AdminError):
    code = "not_found"


class AlreadyExists(AdminError):
    code = "already_exists"


class LostUpdate(AdminError):
    code = "precondition_failed"


class InvalidInput(AdminError):
    code = "invalid_input"


class StartError(TielineError):
    """A process that will not start, or a command that cannot run, and the one line that says why."""

    code = "start_refused"


class SettingsError(StartError):
    code = "invalid_setting"


class RootKeyError(StartError):
    code = "root_key_refused"


class StorageError(StartError):
    code = "storage_refused"


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """How an error is answered: the HTTP status and whether a client should try again.

    ``retry`` becomes ``x-should-retry``; None leaves the field out.
    """

    status: int
    retry: bool | None


ANSWERS: dict[str, ErrorAnswer] = {
    "invalid_request": ErrorAnswer(400, False),
    "invalid_parameter": ErrorAnswer(400, False),
    "missing_parameter": ErrorAnswer(400, False),
    "missing_app_key": ErrorAnswer(401, False),
    "invalid_app_key": ErrorAnswer(401, False),
    "expired_app_key": ErrorAnswer(401, False),
    "revoked_app_key": ErrorAnswer(401, False),
    "invalid_token": ErrorAnswer(401, False),
    "missing_permission": ErrorAnswer(403, False),
    "model_not_allowed": ErrorAnswer(403, False),
    "environment_not_allowed": ErrorAnswer(403, False),
    "address_not_allowed": ErrorAnswer(403, False),
    "destination_not_allowed": ErrorAnswer(403, False),
    "forbidden": ErrorAnswer(403, False),
    "unknown_api": ErrorAnswer(404, False),
    "unknown_call": ErrorAnswer(404, False),
    "not_found": ErrorAnswer(404, False),
    "method_not_allowed": ErrorAnswer(405, False),
    "already_exists": ErrorAnswer(409, False),
    "idempotency_in_progress": ErrorAnswer(409, None),
    "precondition_failed": ErrorAnswer(412, False),
    "body_too_large": ErrorAnswer(413, False),
    "uri_too_long": ErrorAnswer(414, False),
    "invalid_input": ErrorAnswer(422, False),
    "idempotency_mismatch": ErrorAnswer(422, None),
    "credential_missing": ErrorAnswer(424, False),
    "definition_unusable": ErrorAnswer(424, False),
    "connection_required": ErrorAnswer(424, False),
    "reauthorization_required": ErrorAnswer(424, False),
    "rate_limited": ErrorAnswer(429, True),
    "concurrency_limited": ErrorAnswer(429, True),
    "budget_exceeded": ErrorAnswer(429, False),
    "headers_too_large": ErrorAnswer(431, False),
    "internal_error": ErrorAnswer(500, False),
    "upstream_unreachable": ErrorAnswer(502, True),
    "upstream_tls_error": ErrorAnswer(502, True),
    "upstream_protocol_error": ErrorAnswer(502, True),
    "upstream_response_too_large": ErrorAnswer(502, True),
    "upstream_error": ErrorAnswer(502, None),
    "overloaded": ErrorAnswer(503, True),
    "not_ready": ErrorAnswer(503, True),
    "not_recorded": ErrorAnswer(503, False),
    "upstream_timeout": ErrorAnswer(504, True),
}
