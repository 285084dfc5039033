"""Asks the issuers of tokens what a flow wants to know, through the API's own way out.

Owns how a question goes over the wire and how much of an answer is read. Knows no protocol of tokens: that is the
flow's, and whose turn it is to ask is the business of ``renewing``. Redirects are not followed: they would carry a
secret elsewhere.
"""

import asyncio
from typing import Final, TypeVar

from tieline.core.errors import InvalidInput, UpstreamProtocolError, UpstreamTimeout
from tieline.core.urls import Origin, parse_url
from tieline.dataplane.snapshot.plan import Exit
from tieline.schemes.flow import Flow, IssuerAnswer, IssuerRequest
from tieline.wire import framing
from tieline.wire.fetch import Patience, fetch

FLOW_SECONDS: Final = 15.0
ANSWER_MOST: Final = 1024 * 1024
_CONNECT_SECONDS: Final = 5.0
_OURS: Final = frozenset({b"accept-encoding", b"host"})
_BODILESS: Final = frozenset({"GET", "HEAD"})
_Result = TypeVar("_Result")


async def run(flow: Flow[_Result], way: Exit, seconds: float = FLOW_SECONDS) -> _Result:
    """What ``flow`` returns, each of its questions asked within ``seconds`` in all.

    Raises:
        IssuerRefused: the flow says that the issuer gave nothing.
        DestinationNotAllowed: the credential may not go to the issuer, or the guard refuses its address.
        UpstreamError: the issuer gave no usable answer.
    """
    try:
        async with asyncio.timeout(seconds):
            question = next(flow)
            while True:
                question = flow.send(await _asked(question, way, seconds))
    except StopIteration as end:
        result: _Result = end.value
        return result
    except TimeoutError:
        raise UpstreamTimeout(f"The token's issuer did not answer within {seconds:g} s. Try again.") from None
    finally:
        flow.close()


async def _asked(question: IssuerRequest, way: Exit, seconds: float) -> IssuerAnswer:
    origin, target = _split(question.url)
    lane = way.lane_to_issuer(origin, question.tls)
    method = question.method.upper()
    message = _message(question, origin, target, method)
    patience = Patience(_CONNECT_SECONDS, seconds, ANSWER_MOST)
    fetched = await fetch(lane, message, patience, head_only=method == "HEAD")
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fetched.headers)
    told = IssuerAnswer(fetched.status, headers, fetched.body)
    if (told.header("content-encoding") or "identity").strip().lower() != "identity":
        raise UpstreamProtocolError(f"{origin.host} answered in an encoding that was not asked for. Ask its operator.")
    return told


def _split(url: str) -> tuple[Origin, bytes]:
    """Where a whole URL leads, and what stands in the request line. Raises InvalidInput where it is no URL."""
    try:
        found = parse_url(url)
    except ValueError as error:
        raise InvalidInput(f"The address of the token's issuer is not usable: {error}.") from None
    query = "" if found.query is None else f"?{found.query}"
    return found.origin, f"{found.path or '/'}{query}".encode()


def _message(question: IssuerRequest, origin: Origin, target: bytes, method: str) -> bytes:
    lines = [
        b"%b %b HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n" % (method.encode(), target, origin.authority)
    ]
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in question.headers]
    fields = [pair for pair in fields if pair[0].lower() not in _OURS and not framing.is_engine_owned(pair[0].lower())]
    sendable = framing.is_target(target) and framing.is_name(method.encode())
    if not sendable or not all(framing.is_name(name) and framing.is_value(value) for name, value in fields):
        raise UpstreamProtocolError(
            f"What would be sent to {origin.host} for a token holds a character that cannot be sent. An operator sets "
            "the credential again, without line breaks."
        )
    lines += [b"%b: %b\r\n" % pair for pair in fields]
    if question.body or method not in _BODILESS:
        lines.append(b"content-length: %d\r\n" % len(question.body))
    return b"".join(lines) + b"\r\n" + question.body
