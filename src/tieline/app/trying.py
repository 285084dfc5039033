"""The control plane's way to look at a call's answers: the data plane's own eyes, loaded when somebody first asks."""

from tieline.definitions.infer.lesson import StreamSeen
from tieline.definitions.model import Stream


class Trier:
    """Looks at answers as the data plane would."""

    def sight(self, body: bytes, content_type: str, known: Stream | None) -> StreamSeen | None:
        """The stream that ``body`` is the beginning of, or None."""
        from tieline.dataplane.streams.sighting import sight  # noqa: PLC0415  see the module's docstring

        found = sight(body, content_type, known)
        return None if found is None else StreamSeen(found.stream, found.events, found.text)
