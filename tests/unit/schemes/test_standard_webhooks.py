"""Signatures of webhooks, against the library of the specification's authors."""

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tieline.core.secret import Secret
from tieline.schemes.standard_webhooks import mint, signed

BODY = '{"type":"budget.threshold","data":{"name":"Ünïcode ✓"}}'.encode()


def fields(*keys: Secret, at: datetime | None = None) -> dict[str, str]:
    """The header fields of a message with this body."""
    moment = int((at or datetime.now(UTC)).timestamp())
    return {name.decode(): value.decode() for name, value in signed(keys, "evt_1", moment, BODY)}


def library(key: Secret) -> Webhook:
    """What a receiver checks with."""
    return Webhook(key.reveal_bytes().decode())


@pytest.mark.parametrize("_turn", range(20))
def test_the_library_takes_what_is_signed_and_signs_the_same(_turn: int) -> None:
    """With any secret that is minted."""
    key, now = mint(), datetime.now(UTC)
    found = fields(key, at=now)
    assert library(key).verify(BODY, found) == json.loads(BODY)
    assert found["webhook-signature"] == library(key).sign("evt_1", now, BODY.decode())


def test_a_message_that_was_changed_is_refused() -> None:
    """Another body, id or time does not fit the signature."""
    key = mint()
    for change in ({"webhook-id": "evt_2"}, {"webhook-timestamp": str(int(datetime.now(UTC).timestamp()) - 1)}):
        with pytest.raises(WebhookVerificationError):
            library(key).verify(BODY, fields(key) | change)
    with pytest.raises(WebhookVerificationError):
        library(key).verify(BODY + b" ", fields(key))


def test_while_a_secret_is_replaced_both_holders_take_a_message() -> None:
    """It bears a signature of each."""
    old, new = mint(), mint()
    found = fields(new, old)
    assert library(old).verify(BODY, found) == library(new).verify(BODY, found)
    with pytest.raises(WebhookVerificationError):
        library(mint()).verify(BODY, found)


def test_a_secret_has_the_form_and_the_length_of_the_specification() -> None:
    """``whsec_``, and 24 to 64 bytes in base64."""
    text = mint().reveal_bytes().decode()
    assert text.startswith("whsec_")
    assert 24 <= len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) <= 64
