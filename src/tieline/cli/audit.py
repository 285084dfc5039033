"""``tieline audit``: who changed what, and whether the record of it is whole."""

from itertools import islice
from typing import Annotated

import typer

from tieline.cli import output
from tieline.cli.options import Json, connect, noun

audit = noun("audit", "The audit log: who changed what, hash-chained.")


@audit.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many events, newest first.")] = 50,
    json: Json = False,
) -> None:
    """List audit events, newest first."""
    items = list(islice(connect().items("audit"), limit))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        (
            output.Column("AT", whole=True),
            output.Column("WHO", spare=True),
            "WHAT",
            output.Column("TARGET", whole=True),
        ),
        [(output.moment(each["at"]), each["actor"], each["kind"], each["target"]) for each in items],
        "No audit events.",
    )


@audit.command()
def verify(json: Json = False) -> None:
    """Check the whole chain: edits, deletions, reorderings and a cut tail are found."""
    verdict = connect().post("audit", "verify")
    if json:
        output.emit(verdict)
    elif verdict["ok"]:
        output.say(f"The audit chain of {verdict['events']} events holds.")
    if not verdict["ok"]:
        if not json:
            for sentence in verdict["breaks"]:
                output.say(f"tieline: {sentence}")
        raise typer.Exit(1)
