"""Webhooks: what they are told, as it stands in JSON, and how a message is signed (standardwebhooks.com)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from phaseflow.domain.identifiers import KB_ID_PATTERN
from phaseflow.domain.settings import Address
from phaseflow.domain.status import Timestamp

WEBHOOK_NAME = KB_ID_PATTERN
SECRET_BYTES = 32
"""The standard asks for 24 to 64."""
_SECRET_PREFIX = "whsec_"  # noqa: S105  # what secrets begin with
ATTEMPT_S = 15.0
"""How long one attempt may take."""
GIVE_UP_S = 86_400.0
"""A message is tried for so long after what it tells of, …"""
LEAST_ATTEMPTS = 5
"""… and so often at least: while the service was down, nothing was tried."""
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3600.0
"""Between attempts; doubled each time."""


class WebhookEvent(StrEnum):
    """What a webhook can be told."""

    JOB_COMPLETED = "job.completed"
    """A job has come to its end."""
    JOB_FAILED = "job.failed"
    """A phase of a job has failed."""
    JOB_PAUSED = "job.paused"
    """A job is quiet: by its user, a guard or an interruption."""
    JOB_CANCELLED = "job.cancelled"
    """A job was ended by its user."""
    DOCUMENT_FAILED = "document.failed"
    """A document could not be loaded, cut, embedded or indexed."""


def _once(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


class WebhookBody(BaseModel):
    """Where to send what. ``kbs`` empty: of all knowledge bases."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: Address
    events: Annotated[list[WebhookEvent], Field(min_length=1), AfterValidator(_once)] = list(WebhookEvent)
    kbs: Annotated[
        list[Annotated[str, Field(pattern=KB_ID_PATTERN)]], Field(max_length=1000), AfterValidator(_once)
    ] = []


class Delivery(BaseModel):
    """The last message that a webhook took."""

    model_config = ConfigDict(frozen=True)
    event: WebhookEvent
    at: Timestamp
    http_status: int


class DeliveryError(BaseModel):
    """The last attempt that a webhook did not take. ``given_up``: the message is not tried again."""

    model_config = ConfigDict(frozen=True)
    event: WebhookEvent
    at: Timestamp
    error: str
    attempts: int
    given_up: bool = False


class Webhook(BaseModel):
    """A webhook as it is shown. ``pending``: messages that it has yet to take. ``secret``: told once."""

    model_config = ConfigDict(frozen=True)
    name: str
    url: str
    events: list[WebhookEvent]
    kbs: list[str]
    pending: int
    last_delivery: Delivery | None
    last_error: DeliveryError | None
    created_at: Timestamp
    updated_at: Timestamp
    secret: Annotated[str | None, Field(exclude_if=lambda secret: secret is None)] = None


def shown_secret(secret: bytes) -> str:
    """A secret as receivers take it."""
    return _SECRET_PREFIX + base64.b64encode(secret).decode()


def signed(secret: bytes, message_id: str, at_s: int, body: bytes) -> Mapping[str, str]:
    """The headers of one attempt, made ``at_s`` seconds after 1970."""
    content = b"%b.%d.%b" % (message_id.encode(), at_s, body)
    signature = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}


def wait_s(attempts: int) -> float:
    """How long to wait after so many attempts that failed."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(attempts - 1, 20)))
