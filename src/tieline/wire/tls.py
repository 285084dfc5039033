"""TLS towards upstreams: what is trusted, and as whom Tieline presents itself."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from tieline.core.errors import SettingsError
from tieline.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust: the system's authorities, and those in the PEM file ``ca_bundle`` besides."""

    ca_bundle: Path | None = None

    @property
    def identity(self) -> str:
        """What distinguishes connections made with it from others."""
        return str(self.ca_bundle or "system")


@dataclass(frozen=True, slots=True, repr=False)
class TlsIdentity:
    """Who Tieline is towards an upstream, and whom it trusts there.

    ``certificate`` is PEM, with the chain that goes with it; ``key`` PEM without a password, None where there is no
    certificate; ``authorities`` PEM of who alone is trusted then, None for the usual ones; ``server_name`` what the
    upstream's certificate must be for, None for the host. ``fingerprint`` tells identities apart and may be shown.
    """

    fingerprint: str
    certificate: bytes | None = None
    key: Secret | None = None
    authorities: bytes | None = None
    server_name: str | None = None


def client_context(trust: Trust, identity: TlsIdentity | None = None) -> ssl.SSLContext:
    """A context that verifies names and chains and speaks TLS 1.2 or later and HTTP/1.1, as ``identity`` if given.

    Raises:
        SettingsError: the bundle cannot be read or holds no certificate.
        ssl.SSLError: certificate and key of the identity do not belong together, or its authorities are none.
    """
    # not ssl.create_default_context(): it heeds SSLKEYLOGFILE, which would spill session keys
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if identity is not None and identity.authorities is not None:
        context.load_verify_locations(cadata=identity.authorities.decode("ascii", "replace"))
    else:
        _trust(context, trust)
    if identity is not None and identity.certificate is not None and identity.key is not None:
        _present(context, identity.certificate + b"\n" + identity.key.reveal_bytes())
    return context


def _trust(context: ssl.SSLContext, trust: Trust) -> None:
    context.load_default_certs()
    if trust.ca_bundle is None:
        return
    try:
        context.load_verify_locations(cafile=str(trust.ca_bundle))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"The CA bundle {trust.ca_bundle} cannot be used: {error.strerror or error}. Give a PEM file."
        ) from error


def _present(context: ssl.SSLContext, pem: bytes) -> None:
    """Give the context a certificate and its key. OpenSSL is asked by file name only: a file that is on no disk."""
    with _file_in_memory() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/dev/fd/{file.fileno()}")


def _file_in_memory() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("tieline-identity", os.MFD_CLOEXEC), "w+b", buffering=0)
    return cast("BinaryIO", TemporaryFile(buffering=0))  # unlinked before anything is written
