"""Usage as a FOCUS 1.2 cost and usage dataset (focus.finops.org, version 1.2): a row for each charge.

Columns stand in alphabetical order, our own (``x_…``) after them. What FOCUS wants to know and a connector does not, it
says in the plainest way: an API is its own provider, publisher and invoice issuer, an app is a sub account, every price
is the list price. A cost cannot be unknown there: rows of use without a price have costs of 0, say so in
``ChargeDescription``, and count it in ``x_UnpricedRequests``.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, get_args

from tieline.access.budgets import usd
from tieline.controlplane.usage import AskedUsage, UsageAnswer, UsageSpan
from tieline.core.errors import InvalidInput
from tieline.core.quantities import shown_name
from tieline.ports import usage as measures
from tieline.ports.usage import Dimension, UsageRow, columns_of
from tieline.web.table import csv_line

MANDATORY: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingCategory",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
)  # fmt: skip
"""What every FOCUS 1.2 dataset has (requirements model of version 1.2)."""
COLUMNS: Final = tuple(
    sorted(
        (*MANDATORY, "ChargeFrequency", "ConsumedQuantity", "ConsumedUnit", "SubAccountId", "SubAccountName", "Tags")
    )
)
OWN: Final = (
    "x_Call", "x_EndUser", "x_Environment", "x_Errors", "x_EstimatedCost", "x_EstimatedRequests", "x_KeyId", "x_Model",
    "x_Other", "x_Quantities", "x_UnpricedRequests",
)  # fmt: skip
_ACCOUNT: Final = "tieline"
_UNNAMED: Final = "(none)"
_TOKENS: Final = frozenset({"q.input_tokens", "q.output_tokens"})


def wanted(asked: AskedUsage) -> AskedUsage:
    """What is asked for a dataset: everything that rows can be of, by hour or day of UTC. Raises InvalidInput."""
    if asked.bucket not in ("hour", "day") or asked.time_zone != "UTC":
        msg = "FOCUS has a charge for each hour or day of UTC: ask with bucket=day or hour, and no time zone."
        raise InvalidInput(msg, param="bucket")
    return replace(asked, by=get_args(Dimension))


def lines(asked: AskedUsage) -> Callable[[UsageAnswer | None], bytes]:
    """What writes the head, for None, and the rows of a page."""

    def write(page: UsageAnswer | None) -> bytes:
        if page is None:
            return csv_line((*COLUMNS, *OWN))
        return b"".join(csv_line(_charge(row, asked, page.span)) for row in page.rows)

    return write


def _charge(row: UsageRow, asked: AskedUsage, span: UsageSpan) -> list[Any]:
    named = dict(zip(columns_of(asked.by), row.values, strict=True))
    found, (begins, ends) = row.measures, span.bounds(row)
    month = begins.replace(day=1, hour=0, minute=0)
    cost = usd(found.get(measures.COST, 0))
    api = named["api"] or _UNNAMED
    requests = found[measures.REQUESTS]
    quantities = {
        shown_name(name.removeprefix(measures.USED)): count
        for name, count in sorted(found.items())
        if name.startswith(measures.USED)
    }
    cells = {
        "BilledCost": cost,
        "BillingAccountId": _ACCOUNT,
        "BillingAccountName": "Tieline",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _time(_next_month(month)),
        "BillingPeriodStart": _time(month),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": _description(row, named),
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _time(ends),
        "ChargePeriodStart": _time(begins),
        "ConsumedQuantity": requests,
        "ConsumedUnit": "Requests",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": api,
        "ListCost": cost,
        "PricingCategory": "Standard",
        "PricingQuantity": requests,
        "PricingUnit": "Requests",
        "ProviderName": api,
        "PublisherName": api,
        "ServiceCategory": "AI and Machine Learning" if named["model"] or not _TOKENS.isdisjoint(found) else "Other",
        "ServiceName": api,
        "SubAccountId": named["app_id"] or None,
        "SubAccountName": named["app"] or None,
        "Tags": {"tag": named["tag"]} if named["tag"] else None,
        "x_Call": named["call"] or None,
        "x_EndUser": named["end_user"] or None,
        "x_Environment": named["environment"] or None,
        "x_Errors": found.get(measures.ERRORS, 0),
        "x_EstimatedCost": usd(found.get(measures.ESTIMATED_COST, 0)),
        "x_EstimatedRequests": found.get(measures.ESTIMATED, 0),
        "x_KeyId": named["key_id"] or None,
        "x_Model": named["model"] or None,
        "x_Other": "true" if row.other else "false",
        "x_Quantities": quantities,
        "x_UnpricedRequests": found.get(measures.UNPRICED, 0),
    }
    return [cells[name] for name in (*COLUMNS, *OWN)]


def _description(row: UsageRow, named: dict[str, str]) -> str:
    told = f"Requests to {named['api'] or 'no API'}{' with ' + named['model'] if named['model'] else ''}"
    if row.measures.get(measures.UNPRICED):
        told += "; some use has no known price and is not in the cost"
    if row.measures.get(measures.ESTIMATED):
        told += "; some use is estimated"
    return told + "."


def _next_month(month: datetime) -> datetime:
    years, index = divmod(month.month, 12)
    return month.replace(year=month.year + years, month=index + 1)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
