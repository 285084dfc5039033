"""``tieline budget``: how much may be spent, by whom, and how much was."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tieline.cli import output
from tieline.cli.confirmation import Yes, confirm, id_of
from tieline.cli.options import Json, connect, noun, with_options
from tieline.cli.values import budget as wanted_budget
from tieline.core.errors import SettingsError

if TYPE_CHECKING:
    from tieline.cli.client import AdminClient

budget = noun("budget", "Budgets: how much may be spent, by whom, and how much was.")

Named = Annotated[str, typer.Argument(metavar="BUDGET", help="The budget's name or id.")]
Amount = typer.Option(metavar="10usd/month", help="In usd or tokens, per day, week, month or total.")
with_terms = with_options(
    {
        "key": Annotated[
            list[str] | None,
            typer.Option("--key", metavar="KEY", help="A key that shares it, by id or name; repeatable."),
        ],
        "app": Annotated[str | None, typer.Option("--app", metavar="APP", help="All keys of this app share it.")],
        "api": Annotated[str | None, typer.Option("--api", metavar="API", help="All that ask this API share it.")],
        "each": Annotated[
            Literal["key", "app", "end-user"] | None,
            typer.Option("--each", help="Each of them has a budget of its own."),
        ],
        "time_zone": Annotated[
            str | None, typer.Option("--time-zone", metavar="ZONE", help="Such as Europe/Berlin. Default: UTC.")
        ],
        "first_day": Annotated[
            int | None,
            typer.Option("--first-day", metavar="N", help="Of a week, 1 (Monday) to 7; of a month, 1 to 28."),
        ],
        "mode": Annotated[
            Literal["hard", "warn"] | None,
            typer.Option("--mode", help="Refuse what goes beyond (default), or only tell."),
        ],
        "unbounded": Annotated[
            Literal["refuse", "one-at-a-time"] | None,
            typer.Option("--unbounded", help="Calls whose cost nobody can bound: refused (default), or one at a time."),
        ],
        "priced_only": Annotated[
            bool | None,
            typer.Option("--priced-only/--unpriced-too", help="Refuse what has no price.", show_default=False),
        ],
        "alert": Annotated[
            list[int] | None,
            typer.Option(
                "--alert", metavar="PERCENT", help="Warn once in each period when so much is spent; repeatable."
            ),
        ],
    }
)
"""Gives a command the options that say for whom a budget is and what holds of it beside its amount."""


@budget.command()
@with_terms
def create(
    name: Annotated[str, typer.Argument(help="What it shall be called.")],
    amount: Annotated[str, Amount],
    json: Json = False,
    **terms: Any,
) -> None:
    """Make a budget for keys, an app or an API, or one for each of them."""
    client = connect()
    target = _target(client, terms)
    if target is None:
        raise SettingsError("Say for whom: --key, --app, --api or --each.")
    body = {"name": name, **wanted_budget(amount, "--amount"), "applies_to": target}
    made = client.post("budgets", body=body | _terms(terms))
    if json:
        output.emit(made)
        return
    output.say(f"{name} is made: {_sum(made['amount'])} {_period(made)}, for {_whom(made)}.")


@budget.command("list")
def list_(json: Json = False) -> None:
    """List budgets and what was spent of them."""
    items = list(connect().items("budgets"))
    if json:
        output.emit({"items": items, "next": None})
        return
    output.table(
        (
            "NAME",
            output.Column("FOR", spare=True),
            output.Column("AMOUNT", whole=True),
            output.Column("LEFT", whole=True),
            output.Column("RESETS", whole=True, spare=True),
            output.Column("ID", whole=True, spare=True),
        ),
        [
            (
                each["name"],
                _whom(each),
                f"{_sum(each['amount'])} {_period(each)}",
                _sum(each["left"]),
                output.moment(each["resets_at"]) or "never",
                each["id"],
            )
            for each in items
        ],
        "No budgets yet. Make one: tieline budget create monthly --amount 10usd/month --app APP",
    )


@budget.command()
def show(budget: Named, json: Json = False) -> None:
    """Show one budget, and what was spent of it."""
    found = connect().get("budgets", budget)
    if json:
        output.emit(found)
    else:
        _print(found)


@budget.command()
@with_terms
def update(
    budget: Named,
    name: Annotated[str | None, typer.Option("--name", help="What it shall be called.")] = None,
    amount: Annotated[str | None, Amount] = None,
    json: Json = False,
    **terms: Any,
) -> None:
    """Change a budget. What was spent stays spent; another period begins with nothing spent."""
    client = connect()
    target = _target(client, terms)
    body: dict[str, Any] = _terms(terms)
    body |= {} if amount is None else wanted_budget(amount, "--amount")
    body |= {"name": name} if name is not None else {}
    body |= {"applies_to": target} if target is not None else {}
    if not body:
        raise SettingsError("Say what to change: --amount, --name, --mode, --key, --app, --alert or another option.")
    after = client.send("PATCH", ("budgets", budget), body=body).body
    if json:
        output.emit(after)
    else:
        _print(after)


@budget.command()
def remove(budget: Named, yes: Yes = False, json: Json = False) -> None:
    """Delete a budget with what was spent of it."""
    client = connect()
    found = client.get("budgets", budget)
    lost = f"It limits {_whom(found)} to {_sum(found['amount'])} {_period(found)}; nothing will."
    confirm(f"Remove {output.shown(found['name'])}?", [lost], yes=yes)
    client.send("DELETE", ("budgets", found["id"]))
    if json:
        output.emit({"removed": found["id"]})
    output.say(f"{output.shown(found['name'])} is removed.")


def _target(client: "AdminClient", given: Mapping[str, Any]) -> dict[str, Any] | None:
    """For whom the options say it is, None where they say nothing. Raises SettingsError for several."""
    each, keys = given["each"], given["key"]
    targets = {"keys": keys, "app": given["app"], "api": given["api"], "each": each and each.replace("-", "_")}
    found = {name: value for name, value in targets.items() if value}
    if len(found) > 1:
        raise SettingsError("Give one of --key, --app, --api and --each, not several.")
    if keys:
        found["keys"] = [id_of(text, "key", _keys(client), "key") for text in keys]
    return found or None


def _keys(client: "AdminClient") -> list[dict[str, Any]]:
    every = [each for app in client.items("apps") for each in client.items("apps", app["id"], "keys")]
    return [each for each in every if each["state"] != "revoked"]


def _terms(given: Mapping[str, Any]) -> dict[str, Any]:
    """The members that the options give."""
    members = {name: given[name] for name in ("time_zone", "first_day", "mode", "priced_only")}
    members["unbounded"] = given["unbounded"] and given["unbounded"].replace("-", "_")
    members["alerts"] = given["alert"]
    return {name: value for name, value in members.items() if value is not None}


def _sum(amount: dict[str, Any]) -> str:
    """Such as "10.00 USD"."""
    if "usd" in amount:
        return f"{amount['usd']} USD"
    return f"{amount['tokens']} tokens"


def _period(budget: dict[str, Any]) -> str:
    return "in total" if budget["period"] == "total" else f"a {budget['period']}"


def _whom(budget: dict[str, Any]) -> str:
    target = budget["applies_to"]
    if "each" in target:
        return f"each {target['each'].replace('_', ' ')}"
    if "keys" in target:
        return f"key {', '.join(target['keys'])}"
    return " ".join(next(iter(target.items())))


def _print(found: dict[str, Any]) -> None:
    output.details(
        {
            "name": found["name"],
            "for": _whom(found),
            "amount": f"{_sum(found['amount'])} {_period(found)}",
            "mode": found["mode"],
            "unbounded": found["unbounded"].replace("_", " "),
            "priced only": "yes" if found["priced_only"] else "no",
            "alerts": [f"{each} %" for each in found["alerts"]] or "none",
            "spent": _sum(found["spent"]),
            "estimated": _sum(found["estimated"]),
            "reserved": _sum(found["reserved"]),
            "left": _sum(found["left"]),
            "began": output.moment(found["begins_at"]),
            "resets": output.moment(found["resets_at"]) or "never",
            "time zone": found["time_zone"],
            "id": found["id"],
        }
    )
    if found["fullest"]:
        print()
        output.table(
            ("WHO", "SPENT", "LEFT"),
            [(each["subject"], _sum(each["spent"]), _sum(each["left"])) for each in found["fullest"]],
            "",
        )
