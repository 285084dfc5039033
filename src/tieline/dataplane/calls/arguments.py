"""What a call is run with: values and files by parameter, wherever a door read them from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tieline.dataplane.attempt.send import Files
from tieline.definitions.fill.request import FilePart

NO_FILES: Final[Mapping[str, FilePart]] = {}


class ArgumentFiles(Files, Protocol):
    """The bytes of the files, some of which may still be on their way."""

    async def drain(self) -> bytes:
        """Read what is left of the files, and give the fingerprint of all that came."""
        ...


@dataclass(slots=True)
class Arguments:
    """Values and files by parameter. ``uploads`` has the files' bytes.

    ``digest`` is the fingerprint of the request they came in, where an idempotency key asks for one and all of it is
    here; ``size`` how many bytes the values came as.
    """

    values: Mapping[str, Any]
    files: Mapping[str, FilePart] = field(default_factory=lambda: NO_FILES)
    uploads: ArgumentFiles | None = None
    digest: bytes = b""
    size: int = 0

    async def fingerprint(self) -> bytes:
        """What tells this request from others, once all of it is here; what is left is read for it."""
        return self.digest if self.uploads is None else await self.uploads.drain()
