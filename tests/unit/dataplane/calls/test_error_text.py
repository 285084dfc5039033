"""The message and code in upstreams' errors, as real APIs write them."""

import json

import pytest

from tieline.dataplane.answers.error_text import MESSAGE_MOST, extract_error


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"error": {"message": "No such model.", "type": "invalid_request_error", "code": "model_not_found"}}',
         ("No such model.", "model_not_found")),
        (b'{"error": "invalid_grant", "error_description": "The code has expired."}',
         ("The code has expired.", "invalid_grant")),
        (b'{"type": "about:blank", "title": "Bad", "detail": "No balance."}', ("No balance.", None)),
        (b'{"message": "Not Found", "documentation_url": "https://x.test"}', ("Not Found", None)),
        (b'{"errors": [{"message": "Unknown field", "code": 7}]}', ("Unknown field", "7")),
        (b'{"errors": ["Name is missing"]}', ("Name is missing", None)),
        (b'[{"message": "First of many"}]', ("First of many", None)),
        (b'{"fault": {"faultstring": "x"}, "msg": "Quota"}', ("x", None)),
        (b'{"error": true, "code": false}', ('{"error":true,"code":false}', None)),
        (b'{"detail": [{"loc": ["body", "email"], "msg": "Field required", "type": "missing"}]}',
         ("body.email: Field required", "missing")),
        (b'{"email": ["This field is required."]}', ("email: This field is required.", None)),
        (b'{"errors": [{"message": "No."}, {"message": "Nor that."}], "data": null}', ("No.; Nor that.", None)),
        (b'{"__type": "com.amazon.x#ValidationException", "Message": "Too long"}', ("Too long", "ValidationException")),
        (b'"just text"', ("just text", None)),
        (b"{}", (None, None)),
        (b"null", (None, None)),
    ],
)  # fmt: skip
def test_json_errors_are_read(body: bytes, found: tuple[str | None, str | None]) -> None:
    """Of the shapes that APIs have."""
    assert extract_error(b"application/json", body) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        # Google's older APIs, OData 2 and Azure AD Graph
        ({"error": {"errors": [{"reason": "notFound", "message": "Not Found"}], "code": 404,
                    "message": "File not found: a."}}, ("File not found: a.", "404")),
        ({"error": {"code": "005056", "message": {"lang": "en", "value": "No such segment"}}},
         ("No such segment", "005056")),
        ({"odata.error": {"code": "Request_Denied", "message": {"value": "No privileges"}}},
         ("No privileges", "Request_Denied")),
        # Shopify, Rails, Django REST framework, Laravel, ASP.NET, GitLab, Discord
        ({"errors": "[API] Invalid API key"}, ("[API] Invalid API key", None)),
        ({"errors": {"title": ["can't be blank"], "price": ["is no number"]}},
         ("title: can't be blank; price: is no number", None)),
        ({"name": ["is taken"], "email": ["is invalid"]}, ("name: is taken; email: is invalid", None)),
        ({"non_field_errors": ["Unable to log in"]}, ("Unable to log in", None)),
        ({"message": "The data was invalid.", "errors": {"email": ["is taken."]}},
         ("The data was invalid: email: is taken.", None)),
        ({"type": "about:blank", "title": "Validation errors occurred.", "errors": {"Name": ["is required."]}},
         ("Validation errors occurred: Name: is required.", None)),
        ({"message": {"name": ["has been taken"]}}, ("name: has been taken", None)),
        ({"message": "Invalid Form Body", "code": 50035,
          "errors": {"content": {"_errors": [{"code": "REQUIRED", "message": "This field is required"}]}}},
         ("Invalid Form Body: content: This field is required", "50035")),
        # NestJS, GitHub, Tencent, Apigee, Okta, Zod, tRPC, Mistral, GraphQL, HubSpot
        ({"statusCode": 400, "message": ["email must be an email"], "error": "Bad Request"},
         ("Bad Request: email must be an email", None)),
        ({"message": "Validation Failed", "errors": [{"resource": "Issue", "field": "title", "code": "missing_field"}]},
         ("Validation Failed: resource: Issue; field: title", "missing_field")),
        ({"Response": {"Error": {"Code": "AuthFailure", "Message": "Signature is wrong"}}},
         ("Signature is wrong", "AuthFailure")),
        ({"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}},
         ("Invalid ApiKey", "oauth.v2.InvalidApiKey")),
        ({"errorCode": "E0000011", "errorSummary": "Invalid token provided", "errorCauses": []},
         ("Invalid token provided", "E0000011")),
        ({"success": False, "error": {"issues": [{"code": "invalid_type", "message": "Required"}]}},
         ("Required", "invalid_type")),
        ({"error": {"json": {"message": "No procedure", "code": -32004}}}, ("No procedure", "-32004")),
        ({"object": "error", "message": {"detail": [{"loc": ["body", "x"], "msg": "Field required"}]}},
         ("body.x: Field required", None)),
        ({"errors": [{"message": "No such field", "extensions": {"code": "undefinedField"}}], "data": None},
         ("No such field", "undefinedField")),
        ({"status": "error", "message": "Property values were not valid"}, ("Property values were not valid", None)),
        ({"error": "RecordInvalid", "description": "Record validation errors"},
         ("Record validation errors", "RecordInvalid")),
        ({"error": {"message": None, "code": "quota"}}, ('{"error":{"message":null,"code":"quota"}}', "quota")),
    ],
)  # fmt: skip
def test_errors_of_providers_and_frameworks_are_read(body: object, found: tuple[str | None, str | None]) -> None:
    """What an error says of itself, then what its inner errors add; a code wherever it lies."""
    assert extract_error(b"application/json", json.dumps(body).encode()) == found


def test_plain_text_is_its_own_message() -> None:
    """In one line."""
    assert extract_error(b"text/plain", b"Sorry,\n  try later.") == ("Sorry, try later.", None)


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        (b"text/html", b"<h1>Bad gateway</h1>", ("Bad gateway", None)),
        (b"", b" <html><head><title>503</title><style>p {}</style></head><p>No &amp; no</p>", ("No & no", None)),
        (b"text/html", b"<title>Down</title><script>let x = 1</script>", ("Down", None)),
        (b"text/xml", b"<Error><Code>NoSuchKey</Code><Message>No such key.</Message></Error>",
         ("No such key.", "NoSuchKey")),
        (b"text/html", b'{"error": {"message": "Mislabelled"}}', ("Mislabelled", None)),
        (b"application/soap+xml",
         b"<e:Fault><e:Code><e:Value>S</e:Value></e:Code><e:Reason><e:Text>Bad input</e:Text></e:Reason></e:Fault>",
         ("Bad input", "S")),
        (b"text/xml",
         b"<s:Fault><faultcode>s:C</faultcode><faultstring><![CDATA[Bad <b> input]]></faultstring></s:Fault>",
         ("Bad <b> input", "s:C")),
        (b"text/xml", b'<rsp stat="fail"><err code="100" msg="Invalid API Key" /></rsp>', ("Invalid API Key", "100")),
        (b"text/event-stream", b'event: error\ndata: {"error": {"type": "overloaded", "message": "Too busy"}}\n\n',
         ("Too busy", "overloaded")),
        (b"application/json", b")]}'\n" + b'{"error": {"message": "bad", "code": 3}}', ("bad", "3")),
        (b"text/plain", b"error=invalid_grant&error_description=Token+revoked", ("Token revoked", "invalid_grant")),
        (b"application/json", b"upstream connect error", ("upstream connect error", None)),
        (b"text/plain; charset=utf-16", "Würzburg".encode("utf-16"), ("Würzburg", None)),
        (b"text/html", b"<" * 100 + b"a" * 60_000, ("<" * 100 + "a" * 399 + "…", None)),
    ],
)  # fmt: skip
def test_an_error_arrives_whatever_its_dress(kind: bytes, body: bytes, found: tuple[str | None, str | None]) -> None:
    """Known members first, else what a reader would see of the body's beginning."""
    assert extract_error(kind, body) == found


def test_what_is_hidden_is_hidden_before_it_is_cut() -> None:
    """Half a secret at the end of a long message would not be found any more."""
    message, _ = extract_error(
        b"text/plain", b"x" * (MESSAGE_MOST - 4) + b"SECRET", lambda text: text.replace("SECRET", "*")
    )
    assert message == "x" * (MESSAGE_MOST - 4) + "*"


def test_a_long_message_is_cut() -> None:
    """An error is one line, not a page."""
    message, _ = extract_error(b"text/plain", b"x" * 10_000)
    assert message is not None
    assert len(message) == MESSAGE_MOST


def test_nesting_has_an_end() -> None:
    """Nobody is led in circles."""
    message, code = extract_error(b"application/json", b'{"error":' * 50 + b"{}" + b"}" * 50)
    assert (message or "").startswith('{"error":')
    assert code is None
