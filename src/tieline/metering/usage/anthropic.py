"""Where Anthropic's messages tell usage: whole, or in a stream at its start and, as totals so far, with its end.

Source: the documents of the Messages API and of its streams.
"""

from typing import Any

from tieline.metering.usage.sighting import Sighting, object_at


def look(value: Any) -> Sighting | None:
    """As ``sighting.Look`` says."""
    if not isinstance(value, dict):
        return None
    message = object_at(value, "message")
    if message is not None and value.get("type") == "message_start":
        return _of(message, final=False)
    return _of(value, final=True)


def _of(message: dict[str, Any], *, final: bool) -> Sighting | None:
    usage = object_at(message, "usage")
    if usage is None and message.get("type") != "message":
        return None
    return Sighting(message.get("model"), (usage or {}).get("service_tier"), usage, final=final and usage is not None)
