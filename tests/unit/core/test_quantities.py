"""The table of quantities: every whole is there, and stands before its parts."""

from decimal import Decimal

from tieline.core.quantities import QUANTITIES, inner_name, is_quantity, shown


def test_a_whole_stands_before_its_parts() -> None:
    """Who walks the table in its order has seen every whole of a quantity."""
    seen: set[str] = set()
    for name, each in QUANTITIES.items():
        assert set(each.parts_of) <= seen
        seen.add(name)


def test_a_part_of_a_part_is_part_of_the_whole() -> None:
    """What is left of a whole is found by taking its parts away once, so each names all its wholes."""
    for each in QUANTITIES.values():
        above = {whole for part_of in each.parts_of for whole in QUANTITIES[part_of].parts_of}
        assert above <= set(each.parts_of)


def test_times_are_shown_in_seconds() -> None:
    """Milliseconds are for arithmetic alone."""
    assert [each.shown for each in QUANTITIES.values() if each.unit == "millisecond"] == [
        "audio_seconds",
        "input_audio_seconds",
        "output_audio_seconds",
        "video_seconds",
        "compute_seconds",
    ]


def test_figures_are_shown_as_exact_decimals() -> None:
    """Every name that is shown leads back to the one inside."""
    assert shown({"audio_ms": 1234, "images": 2}) == {"audio_seconds": Decimal("1.234"), "images": 2}
    assert [inner_name(each) for each in ("audio_seconds", "queue_seconds")] == ["audio_ms", "queue_ms"]
    assert all(inner_name(each.shown) == name for name, each in QUANTITIES.items())


def test_an_api_may_count_what_the_table_does_not_have() -> None:
    """Under a name of the same form."""
    assert is_quantity("neurons")
    assert not is_quantity("Neurons used")
