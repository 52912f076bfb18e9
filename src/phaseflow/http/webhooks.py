"""The endpoints for webhooks."""

from typing import Annotated

from pydantic import Field

from phaseflow.domain.errors import InvalidRequest, SourceNotAllowed, WebhookNotFound
from phaseflow.domain.status import Page
from phaseflow.domain.webhooks import WEBHOOK_NAME, Webhook, WebhookBody
from phaseflow.http.endpoint import Endpoint, JsonResult, Parameters, RequestContext
from phaseflow.http.requests import Limit, TextCursor

WEBHOOKS = "/api/ingestion/webhooks"
_WEBHOOK = f"{WEBHOOKS}/{{name}}"
_MISSING = (WebhookNotFound,)


class _WebhookList(Parameters):
    """A page of the webhooks."""

    limit: Limit = 100
    cursor: TextCursor = None


async def _list_webhooks(call: RequestContext[_WebhookList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.webhooks.list(call.at.limit, call.at.cursor))


class _WebhookPath(Parameters):
    """One webhook."""

    name: Annotated[str, Field(pattern=WEBHOOK_NAME, description="The name of a webhook.")]


async def _get_webhook(call: RequestContext[_WebhookPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.webhooks.get(call.at.name))


async def _put_webhook(call: RequestContext[_WebhookPath, WebhookBody]) -> JsonResult:
    webhook, created = await call.state.flow.webhooks.put(call.at.name, call.body, chosen_by_client=True)
    return JsonResult(webhook, 201 if created else 200)


async def _delete_webhook(call: RequestContext[_WebhookPath, None]) -> JsonResult:
    await call.state.flow.webhooks.delete(call.at.name)
    return JsonResult(None, 204)


ENDPOINTS = [
    Endpoint("GET", WEBHOOKS, "All webhooks", _list_webhooks, {200: Page[Webhook]}, _WebhookList),
    Endpoint("GET", _WEBHOOK, "One webhook", _get_webhook, {200: Webhook}, _WebhookPath, problems=_MISSING),
    Endpoint(
        "PUT", _WEBHOOK, "Create or change a webhook; its secret is told once", _put_webhook,
        {200: Webhook, 201: Webhook}, _WebhookPath, WebhookBody, body_required=True,
        problems=(SourceNotAllowed, InvalidRequest),
    ),
    Endpoint(
        "DELETE", _WEBHOOK, "Delete a webhook", _delete_webhook, {204: None}, _WebhookPath, problems=_MISSING
    ),
]  # fmt: skip
