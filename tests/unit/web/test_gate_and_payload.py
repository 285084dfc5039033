"""Host names as they are compared, and which form of a definition a client prefers."""

import pytest

from tieline.web.api.payload import wants_json
from tieline.web.api.shared import unfit
from tieline.web.gate import host_name


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8601", "localhost"),
        ("localhost.:8601", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8601", "::1"),
        ("[::1]", "::1"),
        ("[0:0::0:1]", "::1"),
        ("XN--Bcher-kva.example:1", "xn--bcher-kva.example"),
        ("127.1", None),
        ("0x7f.0.0.1", None),
        ("localhost:0", None),
        ("localhost:65536", None),
        ("localhost..", None),
        ("[fe80::1%25eth0]", None),
        ("a b", None),
        ("a/b", None),
        ("user@localhost", None),
        ("localhost:", None),
        ("localhost:x", None),
        ("::1", None),
        ("", None),
        ("localhost\n", None),
        ("löcalhost", None),
    ],
)
def test_the_name_in_a_host_field(host: str, name: str | None) -> None:
    """In the one form of hosts, without port and dot at its end; what that grammar does not know names nothing."""
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("*/*", False),
        ("", False),
        ("application/json", True),
        ("application/json, */*;q=0.1", True),
        ("application/yaml, application/json", False),
        ("application/yaml;q=0.5, application/json", True),
        ("application/json;q=0", False),
        ("application/json;q=x", False),
        ("text/html, application/xhtml+xml", False),
        (",;,", False),
    ],
)
def test_json_is_given_where_it_is_preferred(accept: str, json: bool) -> None:
    """YAML is what people edit, so it wins a tie."""
    assert wants_json(accept) is json


def test_depth_is_counted_over_lists_and_objects() -> None:
    """Sixty-four levels pass, sixty-five do not, whatever they are made of."""
    value: object = "text"
    for level in range(64):
        value = [value] if level % 2 else {"a": value}
    assert unfit(value) is None
    assert "deep" in str(unfit([value]))


@pytest.mark.parametrize("value", ["\ud800", ["\udfff"], {"a": {"\ud800": 1}}])
def test_half_surrogates_are_found_wherever_they_stand(value: object) -> None:
    """As text, in lists, and as names."""
    assert "Unicode" in str(unfit(value))
