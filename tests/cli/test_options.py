"""The settings on the command line."""

import click
import pytest

from phaseflow.cli.options import SettingsOptions
from phaseflow.domain.settings import OpenAIEmbedderSettings, Settings

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


@pytest.mark.parametrize(
    ("given", "told"),
    [
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
