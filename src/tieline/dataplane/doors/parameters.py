"""The arguments of a call in JSON or a query string. ``form`` reads those in a form."""

from urllib.parse import parse_qsl

from tieline.core.errors import InvalidRequest
from tieline.dataplane.calls.arguments import NO_FILES, Arguments
from tieline.dataplane.doors.form import Hasher
from tieline.definitions.fill.json_text import read_parameters
from tieline.definitions.fill.values import coerce_text
from tieline.definitions.model import Call

_PAIRS_MOST = 1_000


def from_query(call: Call, query: bytes, digest: Hasher | None = None) -> Arguments:
    """The arguments in a query string; ``digest`` is that of the request line, with the query in it.

    Raises InvalidRequest, InvalidParameter.
    """
    fingerprint = digest.digest() if digest is not None else b""
    if not query:
        return Arguments({}, digest=fingerprint)
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_PAIRS_MOST)
    except ValueError:
        raise InvalidRequest(
            f"The query string is not in UTF-8, or has more than {_PAIRS_MOST:,} pairs. Send the parameters as JSON."
        ) from None
    return Arguments(coerce_text(call, pairs), digest=fingerprint)


def from_json(body: bytes, digest: Hasher | None = None) -> Arguments:
    """The arguments in one JSON object. Raises InvalidRequest."""
    if digest is not None:
        digest.update(b"\0" + body)
    return Arguments(read_parameters(body), NO_FILES, None, digest.digest() if digest is not None else b"", len(body))
