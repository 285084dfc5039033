"""Routes of budgets."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from tieline.access import budgets as terms
from tieline.controlplane import budgets
from tieline.controlplane.budgets import BudgetView
from tieline.ports.budgets import WindowRow
from tieline.web.api.shared import CallerHere, Listing, PageHere, ServicesHere, Shown, Strict, Time, Title

router = APIRouter(prefix="/budgets", tags=["Budgets"])

Alerts = Annotated[
    list[Annotated[int, Field(ge=1, le=terms.ALERT_MOST)]],
    Field(
        max_length=terms.ALERTS_MOST,
        description="Thresholds in percent of the amount; each is told once a period, in the log and by webhooks.",
        examples=[[50, 80, 100]],
    ),
]
Zone = Annotated[str, Field(min_length=1, max_length=terms.ZONE_MOST, examples=["Europe/Berlin"])]
Sum = Annotated[dict[str, str | int], Field(description="In the unit of the budget.", examples=[{"usd": "10.00"}])]
FirstDay = Annotated[
    int,
    Field(ge=1, le=terms.DAYS_OF_MONTH, description="Of a week, 1 (Monday) to 7; of a month, 1 to 28."),
]


class AmountBody(Strict):
    """So much in each period: one of the two."""

    usd: str | None = Field(default=None, max_length=20, examples=["10.00"])
    tokens: int | None = Field(default=None, ge=1, le=terms.TOKENS_MOST)

    def plain(self) -> dict[str, Any]:
        """As the control plane takes it."""
        return self.model_dump(exclude_none=True)


class AppliesBody(Strict):
    """For whom: one of the four. App and API by id or name."""

    keys: list[Annotated[str, Field(max_length=40)]] | None = Field(default=None, max_length=terms.KEYS_MOST)
    app: Title | None = None
    api: Annotated[str, Field(max_length=63)] | None = None
    each: terms.Each | None = None

    def plain(self) -> dict[str, Any]:
        """As the control plane takes it."""
        return self.model_dump(exclude_none=True)


class TermsBody(Strict):
    """What holds of a budget beside its name, its amount and whom it is for."""

    period: terms.Period = "month"
    time_zone: Zone = "UTC"
    first_day: FirstDay = 1
    mode: terms.Mode = "hard"
    unbounded: terms.Unbounded = "refuse"
    priced_only: bool = False
    alerts: Alerts = Field(default_factory=list)


class BudgetBody(TermsBody):
    """A budget to make."""

    name: Title
    amount: AmountBody
    applies_to: AppliesBody


class BudgetPatch(TermsBody):
    """What shall change about a budget; what is left out stays."""

    name: Title | None = None
    amount: AmountBody | None = None
    applies_to: AppliesBody | None = None


class KeyBudgetBody(TermsBody):
    """A budget for the key that is minted with it."""

    amount: AmountBody

    def plain(self) -> dict[str, Any]:
        """As the control plane takes it."""
        return {**self.model_dump(exclude={"amount"}), "amount": self.amount.plain()}


class SpentShown(Shown):
    """Whose window it is, and how much of it is used: ``estimated`` is a part of ``spent``."""

    subject: str
    spent: Sum
    estimated: Sum
    reserved: Sum
    left: Sum


class BudgetShown(Shown):
    """A budget, and what was spent of it in the period of now.

    Where each key, app or end user has its own, the figures are of that which spent most, and ``fullest`` lists some.
    ``reserved`` is held by requests under way; nobody can spend more than ``left``.
    """

    id: str
    name: str
    amount: Sum
    period: terms.Period
    time_zone: str
    first_day: int
    mode: terms.Mode
    unbounded: terms.Unbounded
    priced_only: bool
    applies_to: dict[str, Any]
    alerts: list[int]
    spent: Sum
    estimated: Sum
    reserved: Sum
    left: Sum
    begins_at: Time
    resets_at: Time | None
    fullest: list[SpentShown]
    created_at: Time
    created_by: str


def _shown(view: BudgetView) -> BudgetShown:
    row, of = view.row, view.terms

    amount = view.amount.shown

    def spent(each: WindowRow) -> SpentShown:
        return SpentShown(
            subject=each.key.subject,
            spent=amount(each.spent),
            estimated=amount(each.estimated),
            reserved=amount(each.reserved),
            left=amount(max(0, row.amount - each.spent - each.reserved)),
        )

    windows = [spent(each) for each in view.windows]
    nothing = SpentShown(subject="", spent=amount(0), estimated=amount(0), reserved=amount(0), left=amount(row.amount))
    first = windows[0] if windows else nothing
    return BudgetShown(
        id=row.id,
        name=row.name,
        amount=amount(row.amount),
        period=of.period,
        time_zone=of.time_zone,
        first_day=of.first_day,
        mode=of.mode,
        unbounded=of.unbounded,
        priced_only=of.priced_only,
        applies_to=dict(view.target),
        alerts=list(of.alerts),
        spent=first.spent,
        estimated=first.estimated,
        reserved=first.reserved,
        left=first.left,
        begins_at=view.window.starts_at,
        resets_at=view.window.ends_at,
        fullest=windows if of.target.each is not None else [],
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _plain(body: TermsBody, given: frozenset[str] | None = None) -> Mapping[str, Any]:
    """The members of a body as the control plane takes them; those that were ``given``, else all."""
    plain = body.model_dump(exclude={"amount", "applies_to"}) | {
        name: part.plain() for name in ("amount", "applies_to") if (part := getattr(body, name)) is not None
    }
    return plain if given is None else {name: value for name, value in plain.items() if name in given}


@router.post("", status_code=201)
async def create_budget(
    body: BudgetBody, response: Response, services: ServicesHere, caller: CallerHere
) -> BudgetShown:
    """Make a budget. Needs the role editor."""
    members = dict(_plain(body))
    view = await budgets.create(services, caller, members.pop("name"), members.pop("amount"), members)
    response.headers["Location"] = f"/api/v1/budgets/{view.row.id}"
    return _shown(view)


@router.get("")
async def list_budgets(page: PageHere, services: ServicesHere, caller: CallerHere) -> Listing[BudgetShown]:
    """List budgets. Needs the role viewer."""
    return Listing[BudgetShown].of(await budgets.list_budgets(services, caller, page.request()), _shown)


@router.get("/{budget}")
async def show_budget(budget: str, services: ServicesHere, caller: CallerHere) -> BudgetShown:
    """Show a budget, by id or name. Needs the role viewer."""
    return _shown(await budgets.show(services, caller, budget))


@router.patch("/{budget}")
async def change_budget(budget: str, body: BudgetPatch, services: ServicesHere, caller: CallerHere) -> BudgetShown:
    """Change a budget; another period or time zone begins anew. Needs the role editor."""
    wanted = _plain(body, frozenset(body.model_fields_set))
    return _shown(await budgets.change(services, caller, budget, wanted))


@router.delete("/{budget}", status_code=204)
async def remove_budget(budget: str, services: ServicesHere, caller: CallerHere) -> None:
    """Delete a budget with what was spent of it. Needs the role editor."""
    await budgets.remove(services, caller, budget)
