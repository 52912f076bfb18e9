"""What vectors are kept under: two models never share it, the same model has the same one, and no secret is in it."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import httpx2
import numpy as np
import pytest
from pydantic import BaseModel, SecretStr

from phaseflow.components.embedders import as_embedder
from tests.matrices import together

HERE = __name__


class Embeds:
    """Whatever it is told about itself."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]


class Declared(BaseModel):
    """The shape of LangChain's: fields with defaults."""

    model: str = "ada"
    deployment: str = "ada"
    openai_api_base: str | None = None
    dimensions: int | None = None
    chunk_size: int = 1000
    api_key: SecretStr | None = None
    encode_kwargs: dict[str, Any] = {}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]


@dataclass
class Data:
    model_id: str = "titan"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]


class Slotted:
    __slots__ = ("_model_path",)

    def __init__(self, path: str) -> None:
        self._model_path = Path(path)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]


class Url:
    """The shape of the address in a client of HTTP: an object of its own."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def module(**names: str) -> ModuleType:
    made = ModuleType("embeds")
    made.__dict__.update(names, embed_documents=lambda texts: [[1.0] for _ in texts])
    return made


class Opaque:
    """A model from elsewhere that says nothing."""

    def __call__(self) -> None: ...


def of(embedder: Any) -> str:
    return as_embedder(embedder).fingerprint


@together(
    "make",
    [
        lambda name: Embeds(model=name),
        lambda name: Embeds(model_id=name),
        lambda name: Embeds(_model_id=name),
        lambda name: Embeds(azure_deployment=name),
        lambda name: Embeds(endpoint_name=name),
        lambda name: Embeds(repo_id=name),
        lambda name: Embeds(baseURL=f"http://{name}/v1"),
        lambda name: Embeds(model="m", base_url=f"http://{name}/v1"),
        lambda name: Embeds(model="m", dimensions=len(name)),
        lambda name: Embeds(model="m", query_prefix=name),
        lambda name: Embeds(model="m", output_dimensionality=len(name)),
        lambda name: Embeds(model="m", adapter=name),
        lambda name: Embeds(model="m", region_name=name),
        lambda name: Embeds(model="m", api_version=name),
        lambda name: Embeds(model="m", embed_instruction="Represent this text for " + "long " * 40 + name),
        lambda name: Embeds(model="m", normalize=name == "one"),
        lambda name: Embeds(client=Embeds(model_id=name)),
        lambda name: Embeds(params={"provider": "p", "model": name}),
        lambda name: Embeds(model=Embeds(model_name=name)),
        lambda name: Declared(deployment=name),
        lambda name: Declared(encode_kwargs={"normalize_embeddings": name == "one"}),
        lambda name: Embeds(model="m", client=Embeds(_client=Embeds(_base_url=Url(f"http://{name}/")))),
        lambda name: Embeds(model="m", client=SimpleNamespace(_host=name)),
        lambda name: Embeds(model="m", clients=[Embeds(host=name)]),
        lambda name: Embeds(client=SimpleNamespace(meta=SimpleNamespace(region_name=name)), model_id="m"),
        lambda name: Embeds(model="m", host="h", port=len(name)),
        lambda name: Embeds(model="m", server_address=name),
        lambda name: Embeds(model="m", project=name),
        lambda name: Embeds(model="m", provider=name),
        lambda name: Embeds(model="m", variant=name),
        lambda name: Embeds(model="m", seed=len(name)),
        lambda name: Embeds(model="m", weights=("a", name)),
        lambda name: Embeds(models=[name]),
        lambda name: Embeds(models={name, "other"}),
        lambda name: module(MODEL=name),
        Data,
        Slotted,
    ],
)  # fmt: skip
def test_two_models_have_two_fingerprints_and_one_has_one(make: Callable[[str], Any]) -> None:
    assert of(make("one")) != of(make("three"))
    assert of(make("one")) == of(make("one"))


@together(
    ("embedder", "expected"),
    [
        (Embeds(), f"{HERE}.Embeds"),
        (Embeds(model="m"), f"{HERE}.Embeds:m"),
        (Declared(model="large", chunk_size=5, api_key=SecretStr("secret")), f"{HERE}.Declared:large"),
        (Data(), f"{HERE}.Data:model_id=titan"),
        (Embeds(fingerprint="mine", model="m"), "mine"),
    ],
)
def test_what_identifies_a_model_stands_behind_its_class(embedder: Any, expected: str) -> None:
    assert of(embedder) == expected


def test_no_secret_is_in_it() -> None:
    shown = of(
        Embeds(
            model="m", api_key="sk-1", openai_api_key="sk-2", auth_token="sk-3", model_credentials="sk-4",
            base_url="https://user:sk-5@host/v1?key=sk-6", model_kwargs={"token": "sk-7", "revision": "r1"},
        )
    )  # fmt: skip
    assert "sk-" not in shown
    assert shown == f"{HERE}.Embeds:m:base_url=https://host/v1:model_kwargs.revision=r1"


@together(
    "embedder",
    [
        Embeds(name="titan"),
        Embeds(_which=b"titan"),
        Embeds(client=Opaque()),
        Embeds(run=lambda texts: texts),
        Embeds(names=["titan"]),
        Embeds(config={"name": "titan"}),
        Embeds(client=Embeds(name="titan")),
        Embeds(name={"titan"}),
        Embeds(_k=3),
        Embeds(embed_documents=partial(print, "titan")),
        Embeds(run=partial(print, "titan")),
        Embeds(matrix=np.eye(2)),
    ],
)
def test_where_nothing_says_which_model_it_is_the_program_is_asked(embedder: Any) -> None:
    with pytest.raises(
        TypeError, match="nothing says which model this Embeds uses: give it an attribute `fingerprint`"
    ):
        as_embedder(embedder)


def test_a_model_taken_from_around_the_class_is_not_guessed_either() -> None:
    def made(model: str) -> Any:
        class Closed:
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return [[float(len(model))] for _ in texts]

        return Closed()

    with pytest.raises(TypeError, match="nothing says which model this Closed uses"):
        as_embedder(made("titan"))


@pytest.mark.parametrize("number", [True, False])
def test_a_number_taken_from_around_the_class_or_given_as_a_default_is_not_guessed_either(number: bool) -> None:
    layer = 12

    class Closed:
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[float(layer)] for _ in texts]

    class Defaulted:
        def embed_documents(self, texts: list[str], *, kind: str = "titan") -> list[list[float]]:
            return [[float(len(kind))] for _ in texts]

    with pytest.raises(TypeError, match="give it an attribute `fingerprint`"):
        as_embedder(Closed() if number else Defaulted())


async def test_a_client_of_http_adds_its_address_and_nothing_that_changes() -> None:
    key = {"Authorization": "Bearer sk-1"}
    async with httpx2.AsyncClient(base_url="http://127.0.0.1:1/v1", headers=key) as client:
        embedder = Embeds(model="m", _client=client)
        before = of(embedder)
        with pytest.raises(httpx2.ConnectError):
            await client.post("embeddings")
        assert of(embedder) == before
    assert "http://127.0.0.1:1/v1" in before
    assert "sk-1" not in before


async def test_what_a_class_counts_and_waits_for_is_not_a_model() -> None:
    held = Embeds(
        texts=Counter(), calls=0, delay_s=0.5, lock=threading.Lock(), event=anyio.Event(), gate=anyio.Semaphore(0),
        error=ValueError("busy"), api_key="sk-1",
    )  # fmt: skip
    assert of(held) == f"{HERE}.Embeds"


def test_a_property_that_raises_identifies_nothing() -> None:
    class Raising(Embeds):
        @property
        def model_name(self) -> str:
            raise RuntimeError("not connected")

    assert of(Raising(model_id="x")).endswith(":model_id=x")
