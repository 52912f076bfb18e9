"""A value that cannot be used is a mistake of usage: code 2, the usage and one line, and nothing is opened or made."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from phaseflow.cli import main
from tests.cli.commands import Shell, ended
from tests.matrices import first_of_each, together

RUBBISH = [
    "", " ", "\0", "a\0b", "\n", "\x1b[31m", "\udcff", "ü\u202e", "nan", "inf", "-1", "1e999", "9" * 30, "x" * 5000,
    "{", "[", "!", "#", "=", "a=b=c", "--", "http://", "http://[", "http://h:99999", "ftp://h", "file:///etc", "../..",
    "~nobody/x",
]  # fmt: skip
VALID = {
    "sources": ".",
    "kb": "kb",
    "query": "water",
    "uri": "a.md",
    "files": __file__,
    "changes": "chunk_size=9",
    "file": "b",
}


def parameters() -> Iterator[tuple[click.Command, click.Parameter]]:
    for command in main.commands.values():
        for parameter in command.params:
            if parameter.name is not None and not (
                isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count)
            ):
                yield command, parameter


def words(command: click.Command, bad: click.Parameter, value: str) -> list[str]:
    """The command with one bad value, and what else it needs."""
    found: list[str] = []
    for option in command.params:
        if isinstance(option, click.Option) and option is bad:
            found.append(f"{option.opts[-1]}={value}")
        elif isinstance(option, click.Option) and option.required:
            found += [option.opts[-1], VALID[option.name or ""]]
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    needed = arguments[: arguments.index(bad) + 1] if isinstance(bad, click.Argument) else []
    return [
        *found,
        "--",
        *(value if each is bad else VALID[each.name or ""] for each in arguments if each.required or each in needed),
    ]


@pytest.mark.parametrize(
    ("command", "parameter"),
    first_of_each(parameters(), lambda case: (case[1].name, type(case[1].type))),
    ids=lambda each: each.name,
)
def test_no_value_of_any_parameter_is_read_with_anything_but_a_usage_error(
    command: click.Command, parameter: click.Parameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in RUBBISH:
        with suppress(click.UsageError):
            command.make_context(command.name, words(command, parameter, value))
    assert list(tmp_path.iterdir()) == []


BAD = """\
search kb ''
search kb '  '
search kb {LONG}
search kb q --min-score nan
search kb q --min-score 1.1
search kb q --min-score=-0.1
search kb q --limit 0
search kb q --mode x
search kb q --filter {
search kb q --server ftp://h
search kb q --server h:80
search kb q --server http://
search kb q --server http://[
search kb q --server http://h:99999
search kb q --server http://h --token 'a b '
search '' q
search 'A B' q
status A/B
status ''
status --cursor ''
kbs --limit 1001
jobs kb --cursor ''
documents kb --source ''
document kb ''
skip kb ''
remove kb ''
retry kb ''
retry 'A B'
pause 'A B'
cancel ''
resume K
resume kb --phase x
resume kb --allow-private 'a b'
resume kb --allow-private h:70000
delete 'A B' --yes
settings kb x
settings kb =1
settings '' chunk_size=1
add nothing --kb kb
add . --kb kb
add a.md --kb 'A B'
add a.md --kb kb --metadata x
backup ''
backup .
vacuum --keep-vectors nan
vacuum --server ftp://x
ingest . --kb ''
ingest . --kb kb --include ''
ingest . --kb kb --include [
ingest . --kb kb --exclude {LONG}
ingest . --kb kb --allow-private ''
ingest . --kb kb --index nope
ingest . --kb kb --embedding-server nope
ingest . --kb kb --keep-vectors nan
ingest . --kb kb --chunk-size 1.5
ingest . --kb kb --db ''
ingest . --kb kb --db .
ingest '' --kb kb
ingest nothing --kb kb
ingest http://[ --kb kb
ingest . --kb kb --embedder openai
serve --port 0 --host 'no such'
serve --port 0 --allow-host ''
serve --port 0 --allow-host 'a b'
serve --port 0 --allow-private 'a b:9'
serve --port 0 --token x
serve --port 0 --keep-vectors nan
serve --port 70000
serve --port 0 --allow-root nothing
serve --port 0 --embedding-url ftp://h
mcp --server ftp://h
""".replace("{LONG}", "x" * 5000).splitlines()


@pytest.mark.parametrize("line", BAD)
def test_a_value_that_cannot_be_used_ends_with_2_and_one_line_before_anything_is_made(line: str, shell: Shell) -> None:
    shell.write("a.md", "# A\n")
    done = shell(*shlex.split(line))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert done.stderr.startswith("Usage: phaseflow "), done.stderr
    assert len([told for told in done.stderr.splitlines() if re.match(r"(Error|phaseflow): ", told)]) == 1
    assert [path.name for path in shell.here.iterdir()] == ["a.md"]


@pytest.mark.parametrize(
    "line",
    ["settings kb chunk_overlap=2000", "documents kb --cursor x", "jobs kb --cursor x", "kbs --cursor '!'"],
)
def test_so_does_one_that_only_the_engine_can_tell(line: str, shell: Shell) -> None:
    shell.write("docs/a.md", "# A\n")
    assert shell("ingest", "docs", "--kb", "kb").returncode == 0
    done = shell(*shlex.split(line))
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("Usage: phaseflow "), done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    "line", ["pause kb", "cancel kb", "resume kb", "retry kb", "vacuum", "backup copy", "delete kb --yes"]
)
def test_what_works_on_a_database_makes_none(line: str, shell: Shell) -> None:
    done = shell(*shlex.split(line))
    assert (done.returncode, list(shell.here.iterdir())) == (1, [])
    assert done.stderr.startswith("phaseflow: there is no database ")


OF_THE_SERVICE = {
    "db": "b.db", "index_server": "a=postgresql://h/d", "allow_private": "h:9", "allow_root": ".", "keep_vectors": "3",
    "workers": "2",
}  # fmt: skip


@together("command", [each for each in main.commands.values() if each.name != "serve"], ids=str)
def test_what_would_be_ignored_beside_a_service_is_refused(command: click.Command) -> None:
    """And a token where there is no service. In this process: nothing is begun."""
    options = {each.name: each for each in command.params if isinstance(each, click.Option)}
    assert "server" in options
    for name, value in OF_THE_SERVICE.items():
        if name in options:
            given = ["--server", "http://127.0.0.1:9", *words(command, options[name], value)]
            with pytest.raises(click.UsageError, match=options[name].opts[-1]):
                command.main(given, standalone_mode=False)
    with pytest.raises(click.UsageError, match="--token is for a service"):
        command.main(words(command, options["token"], "eight-or-more"), standalone_mode=False)


def test_a_page_of_one_knowledge_base_is_refused() -> None:
    for option in ("--limit=3", "--cursor=x"):
        with pytest.raises(click.UsageError, match=option.partition("=")[0]):
            main.commands["status"].main(["kb", option], standalone_mode=False)


DEPLOY = Path(__file__).parents[2] / "docs" / "DEPLOY.md"
FILES = re.findall(r"^\| `(PHASEFLOW_\w+)` .*JSON file", DEPLOY.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("command", ["serve --port 0", "ingest docs --kb waf", "add docs/costs.md --kb waf"])
def test_a_variable_that_names_no_readable_file_is_refused_before_anything_is_made(
    library: Shell, command: str
) -> None:
    assert len(FILES) == 3
    before = sorted(library.here.iterdir())
    for variable in FILES:
        environment = library.environment() | {variable: "gone.json"}
        with library.running(*shlex.split(command), env=environment) as process:
            done = ended(process)
        said = done.stderr.splitlines()[-1]
        assert (done.returncode, said.count(f"{variable}: gone.json cannot be read")) == (2, 1), done.stderr
    assert sorted(library.here.iterdir()) == before
