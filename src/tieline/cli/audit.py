"""``tieline audit``: who changed what, and whether the record of it is whole."""

from itertools import islice
from typing import Annotated

import typer

from tieline.cli import output, values
from tieline.cli.options import Json, connect, noun

_TIMES = "2026-11-23T07:00:00Z, or so long ago, such as 24h."

audit = noun("audit", "The audit log: who changed what, hash-chained.")


@audit.command("list")
def list_(  # noqa: PLR0913  an option is a parameter
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many events, newest first.")] = 50,
    actor: Annotated[str | None, typer.Option(metavar="KIND:ID", help="Who did it, as the list says it.")] = None,
    kind: Annotated[str | None, typer.Option(help="What was done: key.created, or key for all about keys.")] = None,
    target: Annotated[str | None, typer.Option(metavar="ID", help="What it was done to.")] = None,
    text: Annotated[str | None, typer.Option(help="What stands in the target or in the facts of the event.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=f"The earliest moment: {_TIMES}")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=f"The first moment no more: {_TIMES}")] = None,
    json: Json = False,
) -> None:
    """List audit events, newest first; of several options all must fit."""
    query = {
        "actor": actor,
        "kind": kind,
        "target": target,
        "text": text,
        "since": values.moment(since, "--since") if since is not None else None,
        "until": values.moment(until, "--until") if until is not None else None,
    }
    items = list(islice(connect().items("audit", **query), limit))
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
def verify(
    anchor: Annotated[
        str | None,
        typer.Option(metavar="ANCHOR", help="What an earlier verification printed: an older state put back is found."),
    ] = None,
    json: Json = False,
) -> None:
    """Check the whole chain: edits, deletions, reorderings and a cut tail are found.

    Prints the chain's end, to be noted elsewhere: with it as --anchor a later verification also finds that the whole
    log was put back to an older state.
    """
    verdict = connect().post("audit", "verify", body={"anchor": anchor} if anchor is not None else None)
    if json:
        output.emit(verdict)
    elif verdict["ok"]:
        output.say(f"The audit chain of {verdict['events']} events holds.")
        if verdict["anchor"] is not None:
            print(verdict["anchor"])
    if not verdict["ok"]:
        if not json:
            for sentence in verdict["breaks"]:
                output.say(f"tieline: {sentence}")
        raise typer.Exit(1)
