import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from phaseflow.components.protocols import Document, Entry, Skipped
from phaseflow.components.sources.web import AddressPolicy, check_source
from phaseflow.components.sources.web.ssrf import is_public
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, InvalidRequest, SourceNotAllowed
from tests.components.web_site import Names, WebSite, crawl, html, moved, robots, web_source
from tests.matrices import together
from tests.stopwatch import fail_soon


@together("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@together(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.1", "224.0.0.1",
        "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:c0a8:101::1", "2001::1", "2001:db8::1",
        "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "3fff::1", "5f00::1",
        "not an address", "",
    ],
)  # fmt: skip
def test_every_other_address_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("named", "host", "port"),
    [
        ("intranet.test", "intranet.test", 80),
        ("Intranet.Test:8080", "intranet.test", 8080),
        ("10.0.0.1", "10.0.0.1", 80),
        ("10.0.0.1:80", "wiki.test", 80),
        ("[::1]:80", "::1", 80),
        ("[::1]", "::1", 443),
        ("::1", "::1", 443),
        (" 0:0:0:0:0:0:0:1 ", "::1", 80),
        ("fd00::a", "wiki6.test", 80),
        ("[FD00::A]:80", "wiki6.test", 80),
        ("fe80::1", "fe80::1%eth0", 80),
        ("fe80::1%eth0", "fe80::1%eth0", 80),
        ("[fe80::1%25eth0]:80", "fe80::1%eth0", 80),
        ("::ffff:10.0.0.1", "wiki.test", 80),
        ("10.0.0.1", "mapped.test", 80),
        ("[::ffff:a00:1]:80", "10.0.0.1", 80),
    ],
)
async def test_a_named_exception_is_open(named: str, host: str, port: int) -> None:
    names = Names({
        "intranet.test": ["10.0.0.5"], "wiki.test": ["10.0.0.1"], "wiki6.test": ["fd00::a"],
        "mapped.test": ["::ffff:10.0.0.1"],
    })  # fmt: skip
    assert await AddressPolicy([named], resolver=names).addresses(host, port)


@pytest.mark.parametrize(
    ("named", "host", "port"),
    [
        ("intranet.test:8080", "intranet.test", 80),
        ("test", "intranet.test", 80),
        ("10.0.0.1", "intranet.test", 80),
        ("10.0.0.5:81", "intranet.test", 80),
        ("::1", "intranet.test", 80),
        ("::ffff:10.0.0.6", "intranet.test", 80),
    ],
)
async def test_an_exception_opens_nothing_but_what_it_names(named: str, host: str, port: int) -> None:
    names = Names({"intranet.test": ["10.0.0.5"]})
    with pytest.raises(SourceNotAllowed, match=r"--allow-private intranet\.test:80"):
        await AddressPolicy([named], resolver=names).addresses(host, port)


@together(
    "given",
    [
        "",
        "http://a.test",
        "a.test:port",
        "a.test/x",
        "[::1",
        "a:b:c",
        "::1/128",
        "[::g]",
        "[10]",
        "a.test:0",
        "a.test:65536",
    ],
)
def test_an_exception_that_is_no_host_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"allow_private: .* write it as localhost:8000, ::1 or \[::1\]:8000"):
        AddressPolicy([given])


async def test_a_zone_opens_no_other() -> None:
    names = Names({"eth1.test": ["fe80::1%eth1"]})
    with pytest.raises(SourceNotAllowed):
        await AddressPolicy(["fe80::1%eth0"], resolver=names).addresses("eth1.test", 80)


async def test_one_private_address_among_public_ones_closes_the_host() -> None:
    names = Names({"mixed.test": [["93.184.216.34", "10.0.0.1"]]})
    with pytest.raises(SourceNotAllowed, match=r"10\.0\.0\.1"):
        await AddressPolicy(resolver=names).addresses("mixed.test", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]"])
async def test_no_spelling_of_this_machine_is_connected_to(host: str) -> None:
    async with WebSite({"/": html()}) as site:
        loader = site.loader(site.at(host), allow_private=())
        with fail_soon(10), pytest.raises(ComponentUnavailable, match=r"not public|cannot be reached"):
            await crawl(loader)
        assert site.asked == []


async def test_a_redirect_to_a_private_address_is_not_followed() -> None:
    names = Names({"public.test": ["127.0.0.1"], "inside.test": ["127.0.0.2"]})
    async with WebSite() as site:
        site.pages = {"public.test/": moved(site.at("inside.test", "/secret")), "inside.test/secret": html()}
        with fail_soon(10):
            done = await crawl(site.loader(site.at("public.test"), resolver=names))
        (error,) = done.failures.values()
        assert isinstance(error, DocumentError)
        assert error.code == "source_not_allowed"
        assert {asked.host for asked in site.asked} == {"public.test"}


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://127.0.0.1/"])
async def test_a_redirect_to_another_scheme_is_not_followed(target: str) -> None:
    async with WebSite({"/": moved(target)}) as site:
        with fail_soon(10):
            done = await crawl(site.loader())
        (error,) = done.failures.values()
        assert error.code == "bad_redirect"


async def test_a_name_that_changes_its_address_is_checked_for_each_connection() -> None:
    names = Names({"rebind.test": ["127.0.0.1", "127.0.0.2"]})
    async with WebSite({"/": html("/next"), "/next": html()}) as site:
        # Every answer ends its connection, so that the next request needs a new one.
        site.pages = {
            path: page.__class__(page.body, headers={"connection": "close"}) for path, page in site.pages.items()
        }
        async with site.loader(site.at("rebind.test"), resolver=names) as loader:
            with fail_soon(10):
                await loader.load(Entry(site.at("rebind.test", "/")), None)
                with pytest.raises(DocumentError, match=r"127\.0\.0\.2") as caught:
                    await loader.load(Entry(site.at("rebind.test", "/next")), None)
        assert caught.value.code == "source_not_allowed"
        assert list(site.paths) == ["/robots.txt", "/"]
        assert names.asked == ["rebind.test", "rebind.test"]


async def test_the_connection_goes_to_the_address_that_was_checked_and_carries_the_name() -> None:
    names = Names({"named.test": ["127.0.0.1", "203.0.113.7"]})
    async with WebSite({"/": html(), "/robots.txt": html()}) as site:
        async with site.loader(site.at("named.test"), resolver=names) as loader:
            with fail_soon(10):
                outcome = await loader.load(Entry(site.at("named.test", "/")), None)
        assert isinstance(outcome, Document)
        assert {asked.host for asked in site.asked} == {"named.test"}
        assert names.asked == ["named.test"]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with WebSite({"/": html()}) as site:
        with fail_soon(10):
            assert len((await crawl(site.loader())).documents) == 1


async def test_a_source_is_checked_before_it_is_taken() -> None:
    names = Names({"inside.test": ["10.1.2.3"], "outside.test": ["93.184.216.34"]})
    await check_source(web_source("http://outside.test/"), resolver=names)
    await check_source(web_source("http://inside.test/"), ["inside.test"], resolver=names)
    with pytest.raises(SourceNotAllowed, match=r"inside\.test"):
        await check_source(web_source("http://outside.test/", "http://inside.test/"), resolver=names)


async def test_a_name_that_does_not_resolve_is_left_to_the_job() -> None:
    async def nothing(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    await check_source(web_source("http://nowhere.test/"), resolver=nothing)


@pytest.mark.parametrize("url", ["http://user:secret@a.test/", "http://user@a.test/", "http://:secret@a.test/"])
async def test_an_address_with_a_user_name_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"an address of a\.test .* without a user name") as refused:
        await check_source(web_source("http://a.test/", url), resolver=Names())
    assert refused.value.field == "source.urls"
    assert "secret" not in str(refused.value)


async def test_a_seed_may_move_to_another_site_and_takes_the_crawl_along() -> None:
    async with WebSite() as site:
        www = site.at("www.test", "/")
        site.pages = {"a.test/": moved(www), "www.test/": html("/more"), "www.test/more": html()}
        with fail_soon(10):
            done = await crawl(site.loader(site.at("a.test"), resolver=Names()))
        assert list(done.documents) == [www, site.at("www.test", "/more")]
        assert isinstance(done.outcomes[site.at("a.test")], Skipped)


async def test_tls_carries_the_name_and_checks_it_against_the_certificate(tmp_path: Path) -> None:
    trusted = ssl.create_default_context(cafile=str(certificate(tmp_path, "named.test")))
    pages = {"/": html(), "/robots.txt": robots("")}
    async with WebSite(pages, tls=(tmp_path / "cert.pem", tmp_path / "key.pem")) as site:
        options: dict[str, Any] = {"resolver": Names(), "ssl_context": trusted}
        with fail_soon(20):
            right = await crawl(site.loader(f"https://named.test:{site.port}/", **options))
        assert len(right.documents) == 1
        wrong = site.loader(f"https://other.test:{site.port}/", sleep=at_once, **options)
        with fail_soon(20), pytest.raises(ComponentUnavailable, match="certificate"):
            await crawl(wrong)


async def at_once(_: float) -> None: ...


def certificate(folder: Path, name: str) -> Path:
    """A certificate for this name that signs itself, and its key, by the openssl command."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make a certificate with")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return folder / "cert.pem"


async def test_a_thread_asks_the_loop_and_is_told_what_is_refused() -> None:
    here = asyncio.get_running_loop()

    async def resolver(host: str, port: int) -> list[str]:
        assert asyncio.get_running_loop() is here
        return ["8.8.8.8" if host == "open.test" else "10.0.0.1"]

    ask = AddressPolicy(resolver=resolver).for_threads(5)
    assert await to_thread.run_sync(ask, "open.test", 80) == ["8.8.8.8"]
    with pytest.raises(SourceNotAllowed, match=r"inside\.test has the address"):
        await to_thread.run_sync(ask, "inside.test", 80)
