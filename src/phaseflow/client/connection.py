"""The connection of a client to its service: requests, their refusals as errors, and the feed."""

from collections.abc import AsyncGenerator
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel

from phaseflow.client.errors import ServiceUnreachable, fault
from phaseflow.client.events import follow
from phaseflow.client.renewals import Renewals
from phaseflow.domain.identifiers import check_token
from phaseflow.domain.status import JobStatusResponse

TIMEOUT_S = 30.0
ModelT = TypeVar("ModelT", bound=BaseModel)


class Connection:
    """Belongs to the event loop that opens it."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {check_token(token)}"} if token else {}
        self._http = httpx2.AsyncClient(base_url=f"{self.url}/", headers=headers, timeout=TIMEOUT_S)
        self.renewals = Renewals(self._renew)

    async def open(self) -> None:
        """Be ready for requests."""
        await self._http.__aenter__()

    async def aclose(self) -> None:
        """End what runs in the background, and all connections."""
        await self.renewals.aclose()
        await self._http.aclose()

    async def ask(self, model: type[ModelT], method: str, path: str, **options: Any) -> ModelT:
        """Send a request and read its answer."""
        return model.model_validate_json((await self.send(method, path, **options)).content)

    async def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request. Raises ServiceUnreachable and what the answer stands for."""
        try:
            response = await self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error
        if not response.is_success:
            raise fault(response)
        return response

    def events(self, path: str, after: int | None) -> AsyncGenerator[httpx2.ServerSentEvent]:
        """Follow a feed."""
        return follow(self._http, path, after)

    async def _renew(self, job_id: str) -> JobStatusResponse:
        return await self.ask(JobStatusResponse, "POST", f"{job_path(job_id)}/renew")


def job_path(job_id: str) -> str:
    """The path of a job."""
    return f"api/ingestion/jobs/{part(job_id)}"


def part(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")
