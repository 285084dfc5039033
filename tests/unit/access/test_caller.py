"""Roles: who may do what in the control plane."""

import pytest

from tieline.access.caller import Caller, Role, require
from tieline.core.errors import Forbidden


@pytest.mark.parametrize(
    ("has", "needs"),
    [
        (Role.OWNER, Role.OWNER),
        (Role.OWNER, Role.VIEWER),
        (Role.EDITOR, Role.EDITOR),
        (Role.EDITOR, Role.VIEWER),
        (Role.VIEWER, Role.VIEWER),
    ],
)
def test_a_role_does_all_that_the_roles_below_it_do(has: Role, needs: Role) -> None:
    """An owner is also an editor, an editor also a viewer."""
    require(Caller("operator", "op_1", "Ada", has), needs)


@pytest.mark.parametrize(
    ("has", "needs"), [(Role.VIEWER, Role.EDITOR), (Role.VIEWER, Role.OWNER), (Role.EDITOR, Role.OWNER)]
)
def test_a_role_below_is_refused_with_both_roles_named(has: Role, needs: Role) -> None:
    """The refusal says which role it takes, which one the caller has, and whom to ask."""
    with pytest.raises(Forbidden) as caught:
        require(Caller("token", "tok_1", "deploy", has), needs)
    assert f'"{needs}"' in caught.value.public
    assert f'deploy has "{has}"' in caught.value.public
    assert caught.value.param == "role"
