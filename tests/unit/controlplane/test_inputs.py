"""Bounds that several resources share."""

from datetime import UTC, datetime, timedelta

import pytest

from tieline.controlplane import inputs, keys
from tieline.core.errors import InvalidInput, NotFound
from tieline.core.ids import new_id
from tieline.core.pages import PageRequest

AN_ID = "app_0123456789abcdefghjkmnpqr"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_new_ids_are_ids_of_their_kind_only() -> None:
    """The prefix counts."""
    assert inputs.is_id(new_id("app"), "app")
    assert not inputs.is_id(new_id("key"), "app")


@pytest.mark.parametrize("odd", ["", "app_", "app_1", AN_ID + "0", AN_ID.upper(), "\0", AN_ID + "\n"])
def test_what_is_no_id_names_nothing(odd: str) -> None:
    """The error does not repeat it."""
    with pytest.raises(NotFound) as caught:
        inputs.checked_id(odd, "app", "app")
    assert len(odd) < 6 or odd not in caught.value.public


def test_an_expiry_is_counted_from_now() -> None:
    """In seconds; None is never."""
    assert inputs.expiry(60, NOW) == NOW + timedelta(minutes=1)
    assert inputs.expiry(None, NOW) is None


@pytest.mark.parametrize("seconds", [0, -1, inputs.LIFETIME_MOST + 1])
def test_an_expiry_out_of_range_is_refused(seconds: int) -> None:
    """Never in the past, never beyond what a date can hold."""
    with pytest.raises(InvalidInput, match="expires_in"):
        inputs.expiry(seconds, NOW)


@pytest.mark.parametrize(
    "page", [PageRequest(0), PageRequest(201), PageRequest(1, "x"), PageRequest(1, "key_" + AN_ID[4:])]
)
def test_a_page_out_of_range_is_refused(page: PageRequest) -> None:
    """The limit, and cursors of other lists."""
    with pytest.raises(InvalidInput):
        inputs.checked_page(page, "app")


def test_networks_are_brought_into_one_form() -> None:
    """A lone address is a network of one; repetitions go."""
    given = ["192.0.2.7", "192.0.2.7/32", "2001:DB8::/32", "10.0.0.0/255.0.0.0"]
    assert keys.checked_networks(given) == ("192.0.2.7/32", "2001:db8::/32", "10.0.0.0/8")


@pytest.mark.parametrize("odd", ["", "10.0.0.1/8", "010.0.0.1", "10.0.0", "::/129", "host", "10.0.0.0/8 ", "1", "é"])
def test_what_is_no_network_is_refused_by_its_place(odd: str) -> None:
    """The message says which one, not what it was."""
    with pytest.raises(InvalidInput) as caught:
        keys.checked_networks(["10.0.0.0/8", odd])
    assert caught.value.param == "from_ip[1]"
