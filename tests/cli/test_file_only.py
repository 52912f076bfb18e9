"""A command that works on the file alone says so where a service is named, and does nothing."""

import pytest

from tests.cli.commands import Shell, ended

SERVICE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("words", "told"),
    [(("ingest", "docs", "--kb", "k"), "phaseflow add")],
)
def test_a_service_is_refused_by_option_and_by_environment(shell: Shell, words: tuple[str, ...], told: str) -> None:
    shell.write("docs/a.md", "Of letters.")
    assert shell("ingest", "docs", "--kb", "other").returncode == 0
    before = sorted(shell.here.iterdir())
    named = shell(*words, "--server", SERVICE)
    environment = shell.environment() | {"PHASEFLOW_SERVER": SERVICE}
    with shell.running(*words, env=environment) as process:
        from_environment = ended(process)
    for done in (named, from_environment):
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert sorted(shell.here.iterdir()) == before
    with shell.running(*words, "--server", "", env=environment) as process:
        assert ended(process).returncode == 0
