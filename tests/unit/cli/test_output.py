"""Tables on terminals of a width: what is shortened, what is left out, what never is."""

import pytest

from tieline.cli.output import Column, fit

KEYS = [
    Column("ID", whole=True),
    Column("APP"),
    Column("NAME"),
    Column("STATE"),
    Column("SECRET", whole=True, spare=True),
]


def taken(widths: dict[int, int]) -> int:
    """The columns that a row takes."""
    return sum(widths.values()) + 2 * (len(widths) - 1)


def test_what_fits_is_whole() -> None:
    """Nothing is cut and nothing is left out."""
    assert fit(KEYS, [29, 7, 12, 7, 13], 80) == {0: 29, 1: 7, 2: 12, 3: 7, 4: 13}


def test_the_widest_is_shortened_and_an_id_never() -> None:
    """As far as 12 characters, before any column is left out."""
    assert fit(KEYS, [29, 7, 60, 7, 9], 80) == {0: 29, 1: 7, 2: 20, 3: 7, 4: 9}


def test_spare_columns_go_before_cells_become_short() -> None:
    """The last first."""
    assert fit(KEYS, [29, 20, 60, 7, 13], 80) == {0: 29, 1: 19, 2: 19, 3: 7}


@pytest.mark.parametrize("room", [1, 20, 40, 60, 79, 80, 81, 200])
def test_a_row_takes_no_more_than_there_is(room: int) -> None:
    """Unless the id alone is wider; the id is whole on every terminal."""
    widths = fit(KEYS, [29, 60, 60, 60, 60], room)
    assert widths[0] == 29
    assert taken(widths) <= max(room, 29 + 3 * 3)
