"""The endpoints for webhooks."""

from phaseflow.domain.errors import InvalidRequest, SourceNotAllowed, WebhookNotFound
from phaseflow.domain.status import Page
from phaseflow.domain.webhooks import Webhook, WebhookBody
from phaseflow.http import requests
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext

WEBHOOKS = "/api/ingestion/webhooks"
_WEBHOOK = f"{WEBHOOKS}/{{name}}"
_MISSING = (WebhookNotFound,)


async def _list_webhooks(call: RequestContext[requests.WebhookList, None]) -> JsonResult:
    return JsonResult(await call.state.flow.webhooks.list(call.at.limit, call.at.cursor))


async def _get_webhook(call: RequestContext[requests.WebhookPath, None]) -> JsonResult:
    return JsonResult(await call.state.flow.webhooks.get(call.at.name))


async def _put_webhook(call: RequestContext[requests.WebhookPath, WebhookBody]) -> JsonResult:
    webhook, created = await call.state.flow.webhooks.put(call.at.name, call.body, chosen_by_client=True)
    return JsonResult(webhook, 201 if created else 200)


async def _delete_webhook(call: RequestContext[requests.WebhookPath, None]) -> JsonResult:
    await call.state.flow.webhooks.delete(call.at.name)
    return JsonResult(None, 204)


ENDPOINTS = [
    Endpoint("GET", WEBHOOKS, "All webhooks", _list_webhooks, {200: Page[Webhook]}, requests.WebhookList),
    Endpoint("GET", _WEBHOOK, "One webhook", _get_webhook, {200: Webhook}, requests.WebhookPath, problems=_MISSING),
    Endpoint(
        "PUT", _WEBHOOK, "Create or change a webhook; its secret is told once", _put_webhook,
        {200: Webhook, 201: Webhook}, requests.WebhookPath, WebhookBody, body_required=True,
        problems=(SourceNotAllowed, InvalidRequest),
    ),
    Endpoint(
        "DELETE", _WEBHOOK, "Delete a webhook", _delete_webhook, {204: None}, requests.WebhookPath, problems=_MISSING
    ),
]  # fmt: skip
