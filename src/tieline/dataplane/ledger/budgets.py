"""Which budgets hold for a request, and the window of each that is running now. Made anew whenever a budget changes."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from tieline.access.budgets import BudgetTerms, Unit
from tieline.dataplane.limits.table import identity
from tieline.ports.budgets import BudgetRow, WindowKey

_REMEMBERED: Final = 100_000
_FOREVER: Final = float("inf")


class Spender(NamedTuple):
    """Whose request it is: ids of key, app and API, and the end user it names, empty where it names none."""

    key: str
    app: str
    api: str
    user: str = ""


class OpenWindow:
    """A window as this worker knows it.

    ``identity`` is its cell's in the node table, ``turn`` that of the cell whose one slot is held by the worker that
    talks with the store about it. ``left`` is what the store had left when it last refused, until ``refused_until``
    (``time.monotonic``). ``seen`` is what the cell held when it last changed, at ``changed_at``.
    """

    __slots__ = ("changed_at", "gone", "identity", "key", "left", "refused_until", "seen", "skip_until", "turn")

    def __init__(self, key: WindowKey) -> None:
        name = ("budget", key.budget_id, key.subject, key.starts_at.isoformat())
        self.key = key
        self.identity = identity(*name)
        self.turn = identity(*name, "turn")
        self.left = 0
        self.refused_until = 0.0
        self.skip_until = 0.0
        self.seen: tuple[int, ...] = ()
        self.changed_at = 0.0
        self.gone = False


class Budget:
    """A budget as requests are held to it."""

    __slots__ = ("amount", "id", "name", "terms", "unit")

    def __init__(self, row: BudgetRow) -> None:
        self.id = row.id
        self.name = row.name
        self.amount = row.amount
        self.unit: Unit = row.unit
        self.terms = BudgetTerms.from_json(row.terms)

    def subject(self, spender: Spender, own: frozenset[str]) -> str | None:
        """Whose window a request counts in, None where the budget is not for it. ``own`` are keys with their own."""
        target = self.terms.target
        if target.each is None:
            holds = spender.key in target.keys or target.app == spender.app or target.api == spender.api
            return "" if holds else None
        if target.each == "key":
            return None if spender.key in own else spender.key
        if target.each == "app":
            return spender.app
        return f"{spender.app}:{spender.user}" if spender.user else None


class Account:
    """A budget and whose share of it. :meth:`at` is the window that is running."""

    __slots__ = ("_ends", "_window", "_windows", "budget", "one", "subject")

    def __init__(self, budget: Budget, subject: str, windows: "Windows") -> None:
        self.budget = budget
        self.subject = subject
        self.one = identity("budget", budget.id, subject, "one at a time")
        self._windows = windows
        self._window: OpenWindow | None = None
        self._ends = 0.0

    def at(self, now: float) -> OpenWindow:
        """The window that ``now`` (seconds since the epoch) lies in."""
        found = self._window
        if found is None or now >= self._ends:
            window = self.budget.terms.window(datetime.fromtimestamp(now, UTC))
            self._ends = _FOREVER if window.ends_at is None else window.ends_at.timestamp()
            found = self._windows.of(WindowKey(self.budget.id, self.subject, window.starts_at, window.ends_at))
            self._window = found
        elif found.key not in self._windows.open:
            self._windows.open[found.key] = found
        return found


class Windows:
    """The windows that this worker has used and not closed."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open: dict[WindowKey, OpenWindow] = {}

    def of(self, key: WindowKey) -> OpenWindow:
        """The one of ``key``."""
        found = self.open.get(key)
        if found is None:
            found = self.open[key] = OpenWindow(key)
        return found


class BudgetIndex:
    """All budgets, by whom they are for."""

    def __init__(self, rows: Iterable[BudgetRow], windows: Windows) -> None:
        self._budgets = [Budget(row) for row in rows]
        self._own = frozenset(key for each in self._budgets for key in each.terms.target.keys)
        self._known: dict[Spender, tuple[Account, ...]] = {}
        self._accounts: dict[tuple[str, str], Account] = {}
        self._windows = windows

    def of(self, spender: Spender) -> Sequence[Account]:
        """The accounts that a request of ``spender`` has to fit."""
        found = self._known.get(spender)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
                self._accounts.clear()
            found = self._known[spender] = tuple(self._found(spender))
        return found

    def _found(self, spender: Spender) -> Iterable[Account]:
        for budget in self._budgets:
            subject = budget.subject(spender, self._own)
            if subject is None:
                continue
            name = (budget.id, subject)
            account = self._accounts.get(name)
            if account is None:
                account = self._accounts[name] = Account(budget, subject, self._windows)
            yield account
