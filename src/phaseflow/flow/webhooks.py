"""Webhooks: who is told what becomes of jobs and documents. ``deliveries`` tells them."""

import secrets

from phaseflow.components.embedders import EmbedderAccess
from phaseflow.components.sources.web.address import advice, normalised
from phaseflow.components.sources.web.ssrf import check_sites
from phaseflow.domain.errors import InvalidRequest, WebhookNotFound
from phaseflow.domain.status import Page
from phaseflow.domain.webhooks import SECRET_BYTES, Webhook, WebhookBody, shown_secret
from phaseflow.flow.inputs import as_count, as_cursor_name, cursor_after
from phaseflow.store.transaction import Transaction
from phaseflow.store.webhooks import Target, WebhookRows
from phaseflow.tracker import StateHub

_MOST_WEBHOOKS = 100
MOST_ITEMS = 1000


class Webhooks:
    """The webhooks of one engine. All methods are safe to cancel: they do what they say completely or not at all."""

    def __init__(self, hub: StateHub, access: EmbedderAccess) -> None:
        self._hub = hub
        self._access = access

    async def put(self, name: str, webhook: WebhookBody, *, chosen_by_client: bool = False) -> tuple[Webhook, bool]:
        """Create a webhook or change it: (it, whether it was created). Only one that was created tells its secret.

        ``chosen_by_client``: its address is checked as that of an embedder is. Raises SourceNotAllowed and
        InvalidRequest.
        """
        address = normalised(str(webhook.url))
        if address is None:
            raise InvalidRequest("url", advice(webhook.url.host))
        if chosen_by_client:
            await check_sites(self._access.policy_for(address), [address])
        at, secret = self._hub.clock.now(), secrets.token_bytes(SECRET_BYTES)
        target = Target(name, secrets.token_hex(8), str(webhook.url), chosen_by_client, secret)
        shown = Webhook(
            name=name, url=target.url, events=webhook.events, kbs=webhook.kbs, pending=0, last_delivery=None,
            last_error=None, created_at=at, updated_at=at,
        )  # fmt: skip

        def write(tx: Transaction) -> tuple[Webhook, bool]:
            if WebhookRows(tx).count() >= _MOST_WEBHOOKS and WebhookRows(tx).find(name) is None:
                raise InvalidRequest("name", f"there are {_MOST_WEBHOOKS} webhooks, which is all; delete one first")
            created = WebhookRows(tx).put(shown, target, at)
            return _found(tx, name), created

        found, created = await self._hub.database.write(write, durable=True, then=lambda _: self._hub.feed.wake())
        return (found.model_copy(update={"secret": shown_secret(secret)}) if created else found), created

    async def get(self, name: str) -> Webhook:
        """One webhook, with its last delivery and its last error. Raises WebhookNotFound."""
        return await self._hub.database.read(lambda tx: _found(tx, name))

    async def list(self, limit: int = 100, cursor: str | None = None) -> Page[Webhook]:
        """Webhooks by name."""
        as_count("limit", limit, 1, MOST_ITEMS)
        after = as_cursor_name(cursor)
        found = await self._hub.database.read(lambda tx: WebhookRows(tx).page(limit + 1, after))
        return Page(
            items=found[:limit], next_cursor=cursor_after(found[limit - 1].name) if len(found) > limit else None
        )

    async def delete(self, name: str) -> None:
        """Delete a webhook with what it has yet to be told. Raises WebhookNotFound."""

        def write(tx: Transaction) -> None:
            if not WebhookRows(tx).remove(name):
                raise WebhookNotFound(name)

        await self._hub.database.write(write, durable=True)


def _found(tx: Transaction, name: str) -> Webhook:
    webhook = WebhookRows(tx).find(name)
    if webhook is None:
        raise WebhookNotFound(name)
    return webhook
