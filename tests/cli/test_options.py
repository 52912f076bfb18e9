"""The settings on the command line."""

import click
import pytest

from phaseflow.cli.settings_options import SettingsOptions
from phaseflow.domain.settings import OpenAIEmbedderSettings, Settings
from tests.matrices import together

_URL = "http://127.0.0.1:9000/v1"


def test_no_option_means_no_wish() -> None:
    assert SettingsOptions().over(Settings(chunk_size=500)) is None


def test_an_option_leaves_the_other_settings_as_they_are() -> None:
    present = Settings(chunk_size=500, chunk_overlap=50)
    assert SettingsOptions(chunk_overlap=20).over(present) == Settings(chunk_size=500, chunk_overlap=20)


def test_the_first_settings_build_on_the_defaults() -> None:
    assert SettingsOptions(chunk_size=2000).over(None) == Settings(chunk_size=2000)


def test_an_embedding_server_takes_its_address_and_model() -> None:
    wanted = SettingsOptions(embedder="openai", embedding_url=_URL, embedding_model="m").over(None)
    assert wanted is not None
    assert isinstance(wanted.embedder, OpenAIEmbedderSettings)
    assert (str(wanted.embedder.base_url), wanted.embedder.model) == (_URL, "m")


def test_an_embedding_server_can_be_named() -> None:
    wanted = SettingsOptions(embedding_server="ours").over(None)
    assert wanted is not None
    assert wanted.embedder.model_dump() == {"type": "openai", "server": "ours"}


def test_an_embedding_server_takes_all_that_its_settings_have() -> None:
    more = {"batch_size": 8, "in_flight": 2, "dimensions": 256, "requests_per_minute": 30}
    prefixes = {"query_prefix": "query: ", "document_prefix": "passage: "}
    options = {f"embedding_{name}": value for name, value in more.items()} | prefixes
    given = SettingsOptions(embedder="openai", embedding_url=_URL, embedding_model="m", **options)  # type: ignore[arg-type]  # each its own
    wanted = given.over(None)
    assert wanted is not None
    said = wanted.embedder.model_dump()
    assert {name: said[name] for name in (*more, *prefixes)} == more | prefixes
    fields = OpenAIEmbedderSettings.model_fields.keys() - {"type", "base_url", "model", "chosen_by_client"}
    assert fields == more.keys() | prefixes.keys()


@together(
    ("given", "told"),
    [
        (SettingsOptions(embedding_server="ours", embedding_url=_URL), "leave out"),
        (SettingsOptions(embedding_server="ours", embedder="static"), "leave out"),
        (SettingsOptions(embedding_server="ours", query_prefix="q: "), "leave out"),
        (SettingsOptions(embedding_server="../ours"), "--embedding-server"),
        (SettingsOptions(embedding_in_flight=2), "--embedding-in-flight belongs"),
        (SettingsOptions(embedder="static", query_prefix="q: "), "--query-prefix belongs"),
        (SettingsOptions(embedder="openai"), "--embedding-url and --embedding-model"),
        (SettingsOptions(embedding_url=_URL), "add it"),
        (SettingsOptions(embedder="static", embedding_model="m"), "add it"),
        (SettingsOptions(embedder="openai", embedding_url="nonsense", embedding_model="m"), "--embedding-url"),
        (SettingsOptions(chunk_size=50), "must be smaller than chunk_size"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(given: SettingsOptions, told: str) -> None:
    with pytest.raises(click.UsageError, match=told):
        given.over(None)
