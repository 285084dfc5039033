"""Listening sockets: which address is really listened on, and who may share it.

The supervisor *reserves* an address: it finds out at once whether the port is free, learns the port that the system
chose for port 0, and keeps it for as long as it runs. The planes then *open* their own sockets on it with
``SO_REUSEPORT``. Knows nothing of what is served.
"""

import errno
import socket
from typing import Any

from tieline.core.errors import StartError
from tieline.settings.model import Address, ServeSettings

BACKLOG = 2048


def reserve(address: Address, option: str) -> tuple[socket.socket, Address]:
    """Bind ``address`` without listening; returns the socket that keeps it and the address with its real port.

    Raises StartError, which names ``option``, when the address cannot be had.
    """
    try:
        family, place = _resolve(address)
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            # Without SO_REUSEPORT first: two servers must not share a port by accident.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(place)
            port = alone.getsockname()[1]
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((place[0], port, *place[2:]))
    except OSError as error:
        raise StartError(_problem(address, option, error)) from error
    return held, Address(address.host, port)


def open_listener(address: Address) -> socket.socket:
    """A listening, non-blocking socket on ``address``, shared with the other workers by ``SO_REUSEPORT``.

    Raises StartError when the address cannot be had.
    """
    try:
        family, place = _resolve(address)
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError as error:
        raise StartError(_problem(address, "the listen address", error)) from error
    listener.setblocking(False)
    return listener


def own_listeners(settings: ServeSettings) -> tuple[tuple[str, int], ...]:
    """Where this node listens, as host and port: what the egress guard never dials."""
    return tuple((address.host, address.port) for address in (settings.app_listen, settings.console_listen))


def is_free(address: Address) -> bool:
    """Whether nobody listens on ``address`` now."""
    try:
        held, _ = reserve(address, "")
    except StartError:
        return False
    held.close()
    return True


def _resolve(address: Address) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, place = found[0]
    return family, place


def _problem(address: Address, option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is already in use: stop what listens there, or choose another with {option} HOST:PORT."
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is no address of this machine: choose one with {option} HOST:PORT, such as 127.0.0.1:8600."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{address} may not be listened on by this user: choose a port above 1023 with {option} HOST:PORT."
    return f"{address} cannot be listened on ({error.strerror}): choose another with {option} HOST:PORT."
