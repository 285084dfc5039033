"""Every operation goes through one door: authorise, act, audit. Read from the source, so that none is forgotten."""

import ast
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tieline.controlplane import (
    allows,
    apis,
    apps,
    audit,
    calls,
    catalogue,
    connections,
    credentials,
    drift,
    initialize,
    keys,
    signins,
    tokens,
    vault,
    verify,
)
from tieline.controlplane.services import Services

MODULES: tuple[ModuleType, ...] = (
    allows,
    apis,
    apps,
    audit,
    calls,
    catalogue,
    connections,
    credentials,
    drift,
    initialize,
    keys,
    signins,
    tokens,
    vault,
    verify,
)


def operations() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function that takes a caller."""
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__ and not name.startswith("_")
            if own and "caller" in inspect.signature(function).parameters:
                yield f"{module.__name__.rpartition('.')[2]}.{name}", function


OPERATIONS = dict(operations())


def test_the_door_has_the_operations_it_should() -> None:
    """The list is not empty by mistake."""
    assert {"keys.create", "tokens.revoke", "catalogue.show", "verify.verify"} <= OPERATIONS.keys()
    assert len(OPERATIONS) >= 34


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_authorises_before_anything_else(name: str) -> None:
    """Its first statement requires the role that its docstring names."""
    function = OPERATIONS[name]
    body = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(body, ast.FunctionDef | ast.AsyncFunctionDef)
    first = ast.unparse(body.body[1])
    assert first.startswith("require(caller, Role.")
    role = first.removeprefix("require(caller, Role.").rstrip(")").lower()
    assert f"needs the role {role}" in " ".join((function.__doc__ or "").split()).lower()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_writes_leaves_an_audit_event(name: str) -> None:
    """Whoever opens a write adds an event in it."""
    source = inspect.getsource(OPERATIONS[name])
    assert ("store.write(caller)" in source) == ("tx.audit.add(" in source)


def test_the_services_do_not_show_their_peppers() -> None:
    """Not even in a traceback's repr."""
    pepper = b"pepper-of-the-tests"
    parts: Any = object()
    services = Services(*(parts,) * 11, app_key_pepper=pepper, token_pepper=pepper, console_url="")
    assert "pepper-of" not in repr(services)
