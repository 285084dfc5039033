"""Sends the requests of a flow to a token's issuer, through the API's own way out, and reads the answers.

Owns how a request goes over the wire and how much of an answer is read. The protocol of tokens is the flow's; which
worker may ask is decided in ``renewal``. Redirects are not followed: they would carry a secret elsewhere.
"""

import asyncio
from typing import Final, TypeVar

from tieline.core.errors import CredentialMissing, TielineError, UpstreamTimeout
from tieline.core.urls import Origin, parse_url
from tieline.dataplane.answers.content_coding import coding
from tieline.dataplane.snapshot.exit import Exit
from tieline.schemes.flow import Flow, IssuerAnswer, IssuerRequest
from tieline.wire import framing
from tieline.wire.fetch import FetchLimits, fetch

FLOW_SECONDS: Final = 15.0
ANSWER_MOST: Final = 1024 * 1024
_CONNECT_SECONDS: Final = 5.0
_OURS: Final = frozenset({b"accept-encoding", b"host"})
_BODILESS: Final = frozenset({"GET", "HEAD"})
_Result = TypeVar("_Result")


async def run(flow: Flow[_Result], way: Exit, seconds: float = FLOW_SECONDS) -> _Result:
    """What ``flow`` returns, all its requests answered within ``seconds`` together.

    An error of a request is raised in the flow, which may go on without that answer.

    Raises:
        IssuerRefused: the flow says that the issuer gave nothing.
        CredentialMissing: what would be sent cannot be.
        DestinationNotAllowed: the credential may not go to the issuer, or the guard refuses its address.
        UpstreamError: the issuer gave no usable answer.
    """
    end = asyncio.get_running_loop().time() + seconds
    try:
        request = next(flow)
        while True:
            try:
                async with asyncio.timeout_at(end):
                    answer = await _answer(request, way, seconds)
            except TimeoutError:
                request = flow.throw(
                    UpstreamTimeout(f"The token's issuer did not answer within {seconds:g} s. Try again.")
                )
            except TielineError as error:
                request = flow.throw(error)
            else:
                request = flow.send(answer)
    except StopIteration as returned:
        result: _Result = returned.value
        return result
    finally:
        flow.close()


async def _answer(request: IssuerRequest, way: Exit, seconds: float) -> IssuerAnswer:
    """The answer to one request, its content coding undone: some issuers compress whatever was asked for."""
    origin, target = _split(request.url)
    lane = way.lane_to_issuer(origin, request.tls)
    method = request.method.upper()
    message = _message(request, origin, target, method)
    limits = FetchLimits(_CONNECT_SECONDS, seconds, ANSWER_MOST)
    fetched = await fetch(lane, message, limits, head_only=method == "HEAD")
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fetched.headers)
    undo = coding(fetched.headers, ANSWER_MOST) if fetched.body else None
    body = fetched.body if undo is None else undo.feed(fetched.body)
    if undo is not None:
        undo.finish()
    return IssuerAnswer(fetched.status, headers, body)


def _split(url: str) -> tuple[Origin, bytes]:
    """Where a whole URL leads, and what stands in the request line. Raises CredentialMissing where it is no URL."""
    try:
        found = parse_url(url)
    except ValueError as error:
        raise CredentialMissing(f"The address of the token's issuer is not usable: {error}.") from None
    query = "" if found.query is None else f"?{found.query}"
    return found.origin, f"{found.path or '/'}{query}".encode()


def _message(request: IssuerRequest, origin: Origin, target: bytes, method: str) -> bytes:
    """The whole request as bytes. Raises CredentialMissing where a part of it cannot be sent."""
    try:
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    except UnicodeEncodeError:
        raise _unsendable(origin) from None
    fields = [pair for pair in fields if pair[0].lower() not in _OURS and not framing.is_engine_owned(pair[0].lower())]
    sendable = framing.is_target(target) and framing.is_name(method.encode())
    if not sendable or not framing.are_fields(fields):
        raise _unsendable(origin)
    lines = [
        b"%b %b HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n" % (method.encode(), target, origin.authority)
    ]
    lines += [b"%b: %b\r\n" % pair for pair in fields]
    if request.body or method not in _BODILESS:
        lines.append(b"content-length: %d\r\n" % len(request.body))
    return b"".join(lines) + b"\r\n" + request.body


def _unsendable(origin: Origin) -> CredentialMissing:
    return CredentialMissing(
        f"What would be sent to {origin.host} for a token holds a character that cannot be sent. An operator sets the "
        "credential again, without line breaks."
    )
