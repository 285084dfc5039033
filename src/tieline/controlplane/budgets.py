"""Budgets: how much may be spent in a period, by whom, and what happens beyond; and how much was spent so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from tieline.access.budgets import Amount, BudgetTarget, BudgetTerms, Window
from tieline.access.caller import Caller, Role, require
from tieline.audit.events import BudgetChanged, BudgetCreated, BudgetRemoved
from tieline.controlplane.apps import find_app
from tieline.controlplane.inputs import checked_name, checked_page, is_id, not_found
from tieline.controlplane.services import Services
from tieline.core.errors import AlreadyExists, InvalidInput, NotFound
from tieline.core.ids import new_id
from tieline.core.names import is_api_name, is_title
from tieline.core.pages import Page, PageRequest
from tieline.ports.budgets import BudgetReader, BudgetRow, WindowRow
from tieline.ports.store import Reading, Writing

SUBJECTS_MOST: Final = 20
"""Of a budget that each key, app or end user has, so many windows are shown."""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A budget as operators see it: its row and terms, the window of now, and what was spent in it.

    ``target`` names app and API where they are there still. ``windows`` are those of which most was spent; one at most
    where the budget is shared.
    """

    row: BudgetRow
    terms: BudgetTerms
    target: Mapping[str, Any]
    window: Window
    windows: Sequence[WindowRow]

    @property
    def amount(self) -> Amount:
        """How much may be spent in a window."""
        return Amount(self.row.amount, self.row.unit)


async def create(services: Services, caller: Caller, name: str, amount: object, terms: Mapping[str, Any]) -> BudgetView:
    """Make a budget. Needs the role editor.

    Raises:
        InvalidInput: the name, the amount or a term cannot be, or it is for something that is not there.
        AlreadyExists: another budget has the name.
    """
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        row = await add_budget(services, tx, caller, name, (amount, terms))
        return await _view(tx, row, services.clock.now())


async def add_budget(
    services: Services, tx: Writing, caller: Caller, name: str, what: tuple[object, Mapping[str, Any]]
) -> BudgetRow:
    """Make a budget of an amount and terms within a write, with its audit event. Raises as :func:`create` does."""
    amount, terms = Amount.from_json(what[0]), await _checked_terms(tx, what[1])
    row = BudgetRow(
        new_id("bud"),
        checked_name(name, "bud", "budgets"),
        amount.whole,
        amount.unit,
        terms.to_json(),
        services.clock.now(),
        caller.id,
    )
    if not await tx.budgets.add(row):
        raise _taken()
    await tx.audit.add(BudgetCreated(target=row.id, name=row.name, amount=amount.shown(), terms=row.terms))
    return row


async def list_budgets(services: Services, caller: Caller, page: PageRequest) -> Page[BudgetView]:
    """Budgets. Needs the role viewer."""
    require(caller, Role.VIEWER)
    now = services.clock.now()
    async with services.store.read() as rx:
        found = await rx.budgets.list(checked_page(page, "bud"))
        return Page([await _view(rx, row, now) for row in found.items], found.next)


async def show(services: Services, caller: Caller, budget: str) -> BudgetView:
    """One budget by id or name. Needs the role viewer. Raises ``NotFound``."""
    require(caller, Role.VIEWER)
    async with services.store.read() as rx:
        return await _view(rx, await _find(rx.budgets, budget), services.clock.now())


async def change(services: Services, caller: Caller, budget: str, wanted: Mapping[str, Any]) -> BudgetView:
    """Change what ``wanted`` names: ``name``, ``amount`` or terms. Needs the role editor.

    Another period, time zone or first day begins another window, of which nothing is spent yet.

    Raises:
        NotFound: there is no such budget.
        InvalidInput: what is wanted cannot be, or the amount is in another unit.
        AlreadyExists: another budget has the name.
    """
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        before = await _find(tx.budgets, budget)
        members = dict(wanted)
        name = checked_name(members.pop("name", before.name), "bud", "budgets")
        amount = Amount(before.amount, before.unit)
        if "amount" in members:
            amount = Amount.from_json(members.pop("amount"))
        if amount.unit != before.unit:
            msg = f"amount of this budget is in {before.unit}, and what was spent is too. Make another budget."
            raise InvalidInput(msg, param="amount")
        terms = await _checked_terms(tx, {**before.terms, **members}) if members else None
        after = replace(before, name=name, amount=amount.whole, terms=terms.to_json() if terms else before.terms)
        if after != before:
            if not await tx.budgets.replace(after):
                raise _taken()
            await tx.audit.add(BudgetChanged(target=after.id, name=name, amount=amount.shown(), terms=after.terms))
        return await _view(tx, after, services.clock.now())


async def remove(services: Services, caller: Caller, budget: str) -> None:
    """Delete a budget, and what is known of what was spent of it. Needs the role editor. Raises ``NotFound``."""
    require(caller, Role.EDITOR)
    async with services.store.write(caller) as tx:
        row = await _find(tx.budgets, budget)
        await tx.budgets.remove(row.id)
        await tx.audit.add(BudgetRemoved(target=row.id, name=row.name))


async def _find(budgets: BudgetReader, budget: str) -> BudgetRow:
    row = await budgets.get(budget) if is_title(budget) else None
    if row is None:
        raise not_found("budget")
    return row


async def _view(reading: Reading | Writing, row: BudgetRow, now: datetime) -> BudgetView:
    terms = BudgetTerms.from_json(row.terms)
    window = terms.window(now)
    windows = await reading.budgets.windows(row.id, window.starts_at, SUBJECTS_MOST)
    return BudgetView(row, terms, await _named(reading, terms.target), window, windows)


async def _named(reading: Reading | Writing, target: BudgetTarget) -> Mapping[str, Any]:
    """For whom it holds, with the names of app and API; the id of one that is there no more."""
    if target.app is not None:
        app = await reading.apps.get(target.app)
        return {"app": target.app if app is None else app.name}
    if target.api is not None:
        api = await reading.apis.get(target.api)
        return {"api": target.api if api is None else api.name}
    return target.to_json()


async def _checked_terms(tx: Writing, given: Mapping[str, Any]) -> BudgetTerms:
    """The terms, for keys, an app or an API that are there, by their ids. Raises InvalidInput."""
    terms = BudgetTerms.from_json(given)
    return replace(terms, target=await _found(tx, terms.target))


async def _found(tx: Writing, target: BudgetTarget) -> BudgetTarget:
    if target.app is not None:
        try:
            return BudgetTarget(app=(await find_app(tx.apps, target.app)).id)
        except NotFound as error:
            raise _nobody("app") from error
    if target.api is not None:
        is_name = is_api_name(target.api) or is_id(target.api, "api")
        row = await tx.apis.get(target.api) if is_name else None
        if row is None:
            raise _nobody("api")
        return BudgetTarget(api=row.id)
    for position, key in enumerate(target.keys):
        if not is_id(key, "key") or await tx.keys.get(key) is None:
            raise _nobody(f"keys[{position}]")
    return target


def _nobody(member: str) -> InvalidInput:
    where = f"applies_to.{member}"
    return InvalidInput(f"{where} names nothing that is there. Correct it, or add it first.", param=where)


def _taken() -> AlreadyExists:
    return AlreadyExists("Another budget has this name. Choose another name, or change that one.", param="name")
