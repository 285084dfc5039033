"""Method overrides."""

import pytest

from tieline.access.overrides import check_override, check_path_override
from tieline.core.errors import InvalidRequest


@pytest.mark.parametrize(
    "name",
    [
        b"X-HTTP-Method-Override",
        b"x-http-method",
        b"X-METHOD-OVERRIDE",
        b"X_HTTP_Method_Override",
    ],
)
def test_an_override_header_is_refused(name: bytes) -> None:
    """In any case, with hyphens or underscores, whatever its value."""
    with pytest.raises(InvalidRequest) as caught:
        check_override([(b"Host", b"x"), (name, b"GET")], b"")
    assert caught.value.public == f'The header "{name.decode()}" is not allowed. Send the method itself.'


@pytest.mark.parametrize(
    "query",
    [
        b"_method=DELETE",
        b"a=1&_method",
        b"%5Fmethod=PUT",
        b"_m%65thod=PUT",
        b"a&_METHOD=PUT",
        b"x=1;_method=DELETE",
        b"_method[]=PUT",
        b"+_method=PUT",
        b".method=PUT",
        b"%5Bmethod=PUT",
    ],
)
def test_an_override_parameter_is_refused(query: bytes) -> None:
    """However the parameter's name is written."""
    with pytest.raises(InvalidRequest) as caught:
        check_override([], query)
    assert "_method" in caught.value.public


def test_other_headers_and_parameters_pass() -> None:
    """Names that only look alike are none of ours, of the same length too."""
    check_override([(b"X-HTTP-Method-Overrida", b"x"), (b"Method", b"GET")], b"")
    check_override([], b"method=x&a=_method&my_method=1&_method2&_methods[]&%09_method=a&%")


@pytest.mark.parametrize(
    "name",
    [
        *(b"X-Original-URL", b"X-Rewrite-URL", b"x-original-uri", b"X_Override_Url", b"X-HTTP-Path-Override"),
        *(b"X-Forwarded-Uri", b"x-forwarded-path", b"X-Original-Path"),
        *(b"X-Forwarded-Method", b"X-Original-Method", b"X-Method"),
    ],
)
def test_another_path_cannot_be_asked_for_where_the_key_is_restricted(name: bytes) -> None:
    """Some servers take it for the request's own; a key that may do everything gains nothing by it."""
    check_override([(name, b"/files/secret")], b"")
    with pytest.raises(InvalidRequest, match="Send the method and path themselves"):
        check_path_override([(name, b"/files/secret")])
