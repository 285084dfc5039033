"""``GET /metrics``: the metrics of this node for Prometheus and whoever reads its formats.

Who may read them: any admin token; and, without one, programs on this machine that ask by a name of this machine and
not through a proxy. What they say is about traffic and money, never a secret; it is no one else's business either.
"""

import ipaddress
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Scope

from tieline.controlplane import metrics, tokens
from tieline.controlplane.services import Services
from tieline.core.errors import InvalidToken
from tieline.telemetry.metrics.exposition import OPENMETRICS, TEXT
from tieline.web.gate import host_name, presented

router = APIRouter(include_in_schema=False)

_OPENMETRICS: Final = "application/openmetrics-text"
_PLAIN: Final = frozenset({"text/plain", "text/*", "*/*"})
_OF_PROXIES: Final = frozenset(
    {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
)


@router.get("/metrics")
async def show_metrics(request: Request) -> Response:
    """The metrics of every process of this node."""
    services: Services = request.app.state.services
    if any(name == b"authorization" for name, _ in request.scope["headers"]):
        await tokens.authenticate(services, presented(request.scope))
    elif not is_local(request.scope):
        msg = (
            'Metrics need an admin token from elsewhere than this machine, or through a proxy. Send "Authorization: '
            'Bearer tla_…"; a token with the role viewer will do.'
        )
        raise InvalidToken(msg)
    openmetrics = wants_openmetrics(", ".join(request.headers.getlist("accept")))
    text = await metrics.read(services, openmetrics=openmetrics)
    return Response(text, headers={"Content-Type": OPENMETRICS if openmetrics else TEXT})


def is_local(scope: Scope) -> bool:
    """Whether a request came from this machine, to a name of this machine, through no proxy that says so."""
    client = scope.get("client")
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    name = host_name(hosts[0].decode("latin-1")) if len(hosts) == 1 else None
    through_proxy = any(name in _OF_PROXIES for name, _ in scope["headers"])
    return client is not None and _loopback(client[0]) and _loopback(name or "") and not through_proxy


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def wants_openmetrics(accept: str) -> bool:
    """Whether ``Accept`` wants OpenMetrics at least as much as plain text (RFC 9110 section 12.5.1)."""
    best = {True: 0.0, False: 0.0}
    for part in accept.split(","):
        kind, *parameters = [each.strip().lower() for each in part.split(";")]
        if kind == _OPENMETRICS or kind in _PLAIN:
            quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
            best[kind == _OPENMETRICS] = max(best[kind == _OPENMETRICS], _quality(quality))
    return best[True] > 0 and best[True] >= best[False]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
