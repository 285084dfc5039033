"""Where Gemini tells usage: in ``usageMetadata`` of an answer and of every event of a stream, as totals so far.

Source: the reference of ``generateContent`` and its kin, and Vertex AI's, which names the kind of traffic too.
"""

from typing import Any

from tieline.metering.usage.sighting import Sighting, object_at


def look(value: Any) -> Sighting | None:
    """As ``sighting.Look`` says."""
    if not isinstance(value, dict):
        return None
    usage = object_at(value, "usageMetadata")
    if usage is None and "modelVersion" not in value:
        return None
    return Sighting(value.get("modelVersion"), (usage or {}).get("trafficType"), usage, final=usage is not None)
