"""Audit events: kinds, targets and facts."""

import dataclasses
import inspect
import re
from typing import Any

import pytest

from tieline.audit import events
from tieline.audit.chain import canonical_json
from tieline.core.secret import Secret

KINDS = [
    made
    for _, made in inspect.getmembers(events, inspect.isclass)
    if issubclass(made, events.AuditEvent) and made is not events.AuditEvent
]
SAMPLES = {
    "str": "text",
    "str | None": None,
    "int": 3,
    "int | None": None,
    "bool": True,
    "tuple[str, ...]": ("a", "b"),
    "Mapping[str, Any]": {"mode": "all"},
}


def sample(kind: type[events.AuditEvent]) -> events.AuditEvent:
    """An event of ``kind`` with something in each field."""
    annotations = inspect.get_annotations(kind)
    facts: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        written = annotations.get(field.name, str)
        name = (
            written
            if isinstance(written, str)
            else getattr(written, "__name__", "")
            if isinstance(written, type)
            else str(written)
        )
        name = name.replace("collections.abc.", "").replace("typing.", "")
        facts[field.name] = SAMPLES[name]
    return kind(**facts)


def test_kinds_are_distinct_and_say_noun_and_deed() -> None:
    """``key.created``: a noun, a dot, a past participle; no two events share one."""
    kinds = [kind.kind for kind in KINDS]
    assert len(set(kinds)) == len(kinds) >= 16
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+", kind) for kind in kinds)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_facts_are_json_without_the_target(kind: type[events.AuditEvent]) -> None:
    """Each event has canonical JSON, and its target only once."""
    event = sample(kind)
    assert "target" not in event.data()
    assert canonical_json(event.data())
    assert dataclasses.is_dataclass(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.target = "other"  # type: ignore[misc]


def test_a_secret_cannot_be_a_fact() -> None:
    """A secret that is passed by mistake stops the write instead of reaching the log."""
    event = events.CredentialPut("cred_1", api="openai", environment="live", version=1, fields=(Secret(b"sk-fake"),))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        canonical_json(event.data())
