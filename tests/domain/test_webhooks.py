"""Webhooks: what a receiver checks, and how long a message waits after attempts that failed."""

import base64
import hashlib
import hmac

from phaseflow.domain.webhooks import FIRST_WAIT_S, LONGEST_WAIT_S, shown_secret, signed, wait_s


def test_a_secret_is_shown_as_receivers_take_it() -> None:
    assert shown_secret(b"\x00\xff secret") == "whsec_" + base64.b64encode(b"\x00\xff secret").decode()


def test_a_message_is_signed_with_its_id_and_time() -> None:
    headers = signed(b"key", "msg_1", 1_700_000_000, b'{"a":1}')
    expected = hmac.digest(b"key", b'msg_1.1700000000.{"a":1}', hashlib.sha256)
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": f"v1,{base64.b64encode(expected).decode()}",
    }


def test_waits_double_up_to_an_hour() -> None:
    assert [wait_s(attempts) for attempts in range(1, 5)] == [FIRST_WAIT_S * n for n in (1, 2, 4, 8)]
    assert wait_s(100) == wait_s(10**6) == LONGEST_WAIT_S
