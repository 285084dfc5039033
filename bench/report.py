"""The report: the tables of a run as JSON, and Markdown made from that JSON alone."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Results = dict[str, Any]
_AGAINST = ("nginx", "Envoy")


def results(machine: Mapping[str, str | int], *, quick: bool, tables: Sequence[Mapping[str, Any]]) -> Results:
    """A run as JSON values; each measure carries the time and the machine it was taken on."""
    at = datetime.now(UTC).replace(microsecond=0).isoformat()
    return {"at": at, "quick": quick, "machine": dict(machine), "measures": list(tables)}


def merged(old: Results, new: Results) -> Results:
    """``old`` with the measures of ``new`` in the place of its own. Ratios hold: each is taken within one measure."""
    fresh = {table["name"]: table for table in new["measures"]}
    kept = [fresh.pop(table["name"], table) for table in old["measures"]]
    return {**new, "measures": [*kept, *fresh.values()]}


def write(folder: Path, data: Results) -> None:
    """Write ``RESULTS.md`` and ``results.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "RESULTS.md").write_text(markdown(data), encoding="utf-8")


def markdown(data: Results) -> str:
    """The whole report."""
    machine = data["machine"]
    about = (
        "Made by `make bench`; [README.md](README.md) says how to read it. Medians of the rounds; the spread is the "
        "highest less the lowest round, as a part of the median."
    )
    taken = (
        f"{data['at'][:10]}, Tieline {machine['tieline']} on Python {machine['python']}, uvloop {machine['uvloop']}; "
        f"nginx {machine['nginx']}, Envoy {machine['envoy']}, wrk {machine['wrk']}. {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}."
    )
    lines = ["# Results of the benchmark", "", about, "", taken, ""]
    if data["quick"]:
        lines += ["A quick run: short rounds and small counts. Good for a look, not for comparison.", ""]
    lines += _goals(data["measures"])
    for table in data["measures"]:
        lines += _section(table)
    return "\n".join(lines).rstrip() + "\n"


def _goals(measures: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        (
            goal["text"],
            "–" if goal["value"] is None else f"{_number(goal['value'])} {goal['unit']}",
            f"{'≥' if goal['least'] else '≤'} {_number(goal['limit'])} {goal['unit']}",
            {True: "yes", False: "**no**", None: "cannot be told here"}[goal["met"]],
        )
        for table in measures
        for goal in table["goals"]
    ]
    return ["## Goals", "", *_table(("goal", "figure", "limit", "met"), rows), ""] if rows else []


def _section(table: Mapping[str, Any]) -> list[str]:
    lines = [f"## {table['title']}", ""]
    if table.get("failed"):
        return [*lines, f"Not measured: {table['failed']}", ""]
    medians = {each["system"]: each["median"] for each in table["systems"]}
    against = [name for name in _AGAINST if medians.get(name)]
    facts = list(dict.fromkeys(fact for each in table["systems"] for fact in each["facts"]))
    heads = ("system", f"{table['unit']}", "spread", *(f"× {name}" for name in against), *facts)
    rows = [
        (
            each["system"],
            f"**{_number(each['median'])}**",
            f"{each['spread']:.0%}" if len(each["rounds"]) > 1 else "–",
            *(f"{each['median'] / medians[name]:.2f}" for name in against),
            *(_fact(each["facts"].get(fact, "")) for fact in facts),
        )
        for each in table["systems"]
    ]
    lines += [*_table(heads, rows), ""]
    return [*lines, *(f"- {note}" for note in table["notes"]), *([""] if table["notes"] else [])]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in heads[1:])]
    return [f"| {' | '.join(row)} |" for row in (heads, rule, *rows)]


def _fact(value: str | float) -> str:
    return value if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    """A figure with as many digits as it carries."""
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
