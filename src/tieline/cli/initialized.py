"""What initializing a call showed, for people: a table of fields, what is different, what is proposed."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tieline.cli import output

_SIGNS = {"new": "+", "gone": "−", "changed": "~"}
_SAMPLE = 60


def print_learned(learned: Mapping[str, Any]) -> None:
    """Fields go to standard output, everything else to standard error."""
    if learned["status"] is not None:
        output.say(f"The upstream answered {learned['status']}.")
    if learned["problem"] is not None:
        return
    rows = [("", *_row(each)) for each in learned["fields"]]
    for event in learned["events"] or ():
        rows += [(event["name"] or "(no name)", *_row(each)) for each in event["fields"]]
    output.say(f"The answer is of type {learned['type']}{_shape(learned['response'])}.")
    if rows:
        has_events = learned["events"] is not None
        columns = ("EVENT", "FIELD", "TYPE", "", "SAMPLE")
        output.table(columns if has_events else columns[1:], rows if has_events else [row[1:] for row in rows], "")
    for line in _differences(learned["diff"]):
        output.say(line)
    if learned["pagination"] is not None:
        output.say(f"It seems to be paged by {_paged(learned['pagination'])}.")
    if learned["saved"]:
        output.say(f"It is saved (revision {learned['revision']}).")
    else:
        output.say("Nothing is saved; --save does that.")


def drift_text(one: Mapping[str, Any]) -> str:
    """How answers differ at one place."""
    if one["kind"] == "type":
        return f"{one['found']}, not {one['expected']}"
    return "missing" if one["kind"] == "missing" else f"new ({one['found']})"


def print_raw(raw: str | None) -> None:
    """An upstream's own answer: JSON to be read, other text without control characters; nothing of what is no text."""
    if raw is None:
        output.say("It is no text.")
        return
    try:
        output.emit(json.loads(raw))
    except ValueError:
        print("\n".join(output.shown(line) if line.strip() else "" for line in raw.splitlines()))


def _row(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    marks = [name for name in ("parse", "optional", "undecided", "pinned") if one[name]]
    marks += [] if one["include"] else ["excluded"]
    marks += [f"named {one['name']}"] if one["name"] is not None else []
    kind = f"{one['object']} ({one['type']})" if one["object"] is not None else one["type"]
    return one["path"], kind + ("[]" if one["list"] else ""), ", ".join(marks) or " ", _sample(one["sample"])


def _sample(sample: Any) -> str:
    if sample is None:
        return " "
    text = json.dumps(sample, ensure_ascii=False)
    return text if len(text) <= _SAMPLE else text[: _SAMPLE - 1] + "…"


def _shape(response: Mapping[str, Any]) -> str:
    stream = response.get("stream")
    if stream is None:
        return ""
    return f", {stream['preset']}" if "preset" in stream else f", {stream.get('format', 'sse')}"


def _differences(diff: list[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each difference; where all is new, one for all."""
    if diff and all(each["kind"] == "new" for each in diff):
        yield f"All {len(diff)} fields are new." if len(diff) > 1 else "Its field is new."
        return
    for each in diff:
        place = f"{each['event']}: {each['path']}" if each["event"] is not None else each["path"]
        yield f"{_SIGNS[each['kind']]} {place}{_change(each)}"


def _change(each: Mapping[str, Any]) -> str:
    if each["kind"] != "changed":
        return f" ({_type(each['new'] or each['old'])})"
    old, new = each["old"], each["new"]
    said = [f"{_type(old)} → {_type(new)}"] if {"type", "list"} & set(each["what"]) else []
    said += [
        f"{'now' if new.get(name) else 'no longer'} {name}" for name in each["what"] if name in {"parse", "optional"}
    ]
    return f": {', '.join(said)}"


def _type(one: Mapping[str, Any]) -> str:
    return str(one["type"]) + ("[]" if one.get("list") else "")


def _paged(proposal: Mapping[str, Any]) -> str:
    kind = str(proposal["pagination"]["kind"]).replace("_", " ")
    return f"{kind}: {proposal['because']}; --save --pagination takes that"
