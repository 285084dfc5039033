"""The two addresses that people's browsers open to sign in to an API: a link or a state opens them, no admin token.

Owns the browser's mark (a cookie) and the page that says how it ended. Decides nothing: ``controlplane.signins`` does.
A mark is set when a link is opened; the cookie is ``__Host-`` where the console is opened by https (RFC 6265bis).
"""

from html import escape
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from tieline.controlplane import signins
from tieline.controlplane.returning import with_outcome
from tieline.controlplane.services import Services
from tieline.controlplane.signins import CALLBACK, START, EndedSignIn
from tieline.core.errors import ANSWERS, InvalidRequest, TielineError
from tieline.telemetry.logs import Log
from tieline.web.pages import page
from tieline.web.problems import request_id_of

router = APIRouter(include_in_schema=False)

_MARK = "tieline-sign-in"
_PATH = START.rpartition("/")[0]


@router.get(START)
async def open_link(request: Request) -> Response:
    """Send the browser to the provider, with a mark to know it by when it comes back."""
    services: Services = request.app.state.services
    try:
        opened = await signins.open_link(services, request.query_params.get("link", ""), _mark(request, services))
    except TielineError as error:
        return _failed(request, error)
    answer = RedirectResponse(opened.url, HTTPStatus.SEE_OTHER)
    secure = _is_secure(services)
    answer.set_cookie(
        _cookie(services),
        opened.browser,
        max_age=signins.LINK_SECONDS,
        path="/" if secure else _PATH,
        secure=secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get(CALLBACK)
async def come_back(request: Request) -> Response:
    """Finish the sign-in that the provider sends the browser back from."""
    services: Services = request.app.state.services
    pairs = request.query_params.multi_items()
    try:
        if len(pairs) != len(dict(pairs)):
            raise InvalidRequest("The provider sent the same parameter twice, which no provider does. Begin again.")
        ended = await signins.finish(services, dict(pairs), _mark(request, services))
    except TielineError as error:
        return _failed(request, error)
    if ended.row.return_to is not None:
        target = with_outcome(ended.row.return_to, connected=ended.problem is None)
        return RedirectResponse(target, HTTPStatus.SEE_OTHER)
    return _told(ended)


def _told(ended: EndedSignIn) -> Response:
    """The page at the end of a sign-in that goes nowhere else."""
    title = escape(ended.title)
    if ended.problem is not None:
        body = f"<h1>Not connected to {title}</h1><p>{escape(ended.problem)}</p><p>Nothing was changed.</p>"
        return page("Not connected", body, HTTPStatus.BAD_REQUEST)
    whose = f" for {escape(ended.row.key.user)} in {escape(ended.row.app)}" if ended.row.app else ""
    account = f" as {escape(ended.account)}" if ended.account else ""
    return page("Connected", f"<h1>Connected to {title}</h1><p>Signed in{account}{whose}. You may close this page.</p>")


def _failed(request: Request, error: TielineError) -> Response:
    log: Log = request.scope["state"]["log"]
    log.warning("signin.failed", request_id=request_id_of(request), code=error.code, detail=error.detail)
    status = ANSWERS[error.code].status
    body = f"<h1>That did not work</h1><p>{escape(error.public)}</p><p>Request {escape(request_id_of(request))}</p>"
    return page("That did not work", body, status)


def _mark(request: Request, services: Services) -> str | None:
    return request.cookies.get(_cookie(services))


def _cookie(services: Services) -> str:
    return f"__Host-{_MARK}" if _is_secure(services) else _MARK


def _is_secure(services: Services) -> bool:
    return services.console_url.startswith("https:")
