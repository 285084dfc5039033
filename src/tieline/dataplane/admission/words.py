"""What the words of a request ask for: which API, below which path, with which app key.

Reads the request line and the fields, nothing else: whether the key exists and may do that is ``admit``'s.
"""

from collections.abc import Mapping

from tieline.access import appkey
from tieline.access.overrides import check_override
from tieline.core.errors import InvalidRequest, TielineError
from tieline.dataplane.admission.fields import ENVIRONMENT
from tieline.dataplane.snapshot.plan import Api
from tieline.wire.request import Request

_NO_PLACES = appkey.KeyPlaces()
_NAME_MOST = 64


class Words:
    """A request line and header fields, read once. Nothing in it depends on the body or on who sends it.

    ``name`` is the API's name as bytes, ``api`` the API of that name when the words were read: where the key stands
    depends on it. ``rest`` is the path behind the name, with its slash, or empty; ``found`` the app key and the request
    without it, ``keyed_hash`` what the key is looked up by. ``fault`` is why the words themselves cannot be served by
    anybody, ``environment`` the one they insist on.
    """

    __slots__ = (
        "api",
        "door",
        "environment",
        "fault",
        "found",
        "keyed_hash",
        "name",
        "rest",
    )

    def __init__(self, request: Request, door: bytes, apis: Mapping[bytes, Api], pepper: bytes) -> None:
        """Read ``request``, whose target begins with ``door``; ``pepper`` keys the hash of app keys.

        Raises:
            AppKeyError: no app key stands in any place for one, or what stands there cannot be one.
            InvalidRequest: several different keys.
        """
        path, _, query = request.target.partition(b"?")
        self.door = door
        self.name, slash, rest = path[len(door) :].partition(b"/")
        self.rest = slash + rest
        self.api: Api | None = apis.get(self.name)
        self.found = appkey.find(request.headers, query, self.api.places if self.api is not None else _NO_PLACES)
        appkey.check(self.found.key)
        self.keyed_hash = appkey.keyed_hash(pepper, self.found.key)
        self.environment = request.noted.get(ENVIRONMENT)
        self.fault = _fault(request, query)

    @property
    def query(self) -> bytes:
        """The query without the app key."""
        return self.found.query_without

    @property
    def shown_name(self) -> str:
        """The API's name as text, cut after 64 characters; it may be anything."""
        return self.name[:_NAME_MOST].decode("ascii", "replace")


def _fault(request: Request, query: bytes) -> TielineError | None:
    noted = request.noted
    if not noted and not query:
        return None
    try:
        check_override(tuple(noted.items()), query)
    except InvalidRequest as error:
        return error
    if noted.get(ENVIRONMENT, b"live") not in {b"live", b"development"}:
        return InvalidRequest("Tieline-Environment must be live or development.")
    return None
