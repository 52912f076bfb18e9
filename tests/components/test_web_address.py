from hypothesis import given
from hypothesis import strategies as st

from phaseflow.components.sources.web.address import host_and_port, normalised, site_of
from tests.matrices import together

BASE = "http://a.test/docs/guide/page.html?old=1"


@together(
    ("link", "expected"),
    [
        ("HTTP://A.Test:80/x", "http://a.test/x"),
        ("https://a.test:443", "https://a.test/"),
        ("https://a.test:8443/x", "https://a.test:8443/x"),
        ("http://a.test./", "http://a.test/"),
        ("other.html", "http://a.test/docs/guide/other.html"),
        ("../up.html", "http://a.test/docs/up.html"),
        ("../../../../top", "http://a.test/top"),
        ("/abs/./x/../y/", "http://a.test/abs/y/"),
        ("http://a.test/x/%2e%2E/y", "http://a.test/y"),
        ("x//y", "http://a.test/docs/guide/x//y"),
        ("?new=2", "http://a.test/docs/guide/page.html?new=2"),
        ("#part", "http://a.test/docs/guide/page.html?old=1"),
        ("//b.test/x", "http://b.test/x"),
        (" \n/sp ace\t.html ", "http://a.test/sp%20ace.html"),
        ("/caf\u00e9?q=\u00fc", "http://a.test/caf%C3%A9?q=%C3%BC"),
        ("/%7euser/%c3%a9/%41", "http://a.test/~user/%C3%A9/A"),
        ("/100%", "http://a.test/100%25"),
        ("/a%2Fb", "http://a.test/a%2Fb"),
        ("http://b\u00fccher.test/", "http://xn--bcher-kva.test/"),
        ("http://b%C3%BCcher.test/", "http://xn--bcher-kva.test/"),
        ("http://B%c3%9cCHER.%54est./x", "http://xn--bcher-kva.test/x"),
        ("http://B\u00dcCHER.TEST/", "http://xn--bcher-kva.test/"),
        ("http://XN--BCHER-KVA.Test/", "http://xn--bcher-kva.test/"),
        ("http://%61.test:81/", "http://a.test:81/"),
        ("http://[2001:DB8:0:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("\\\\b.test\\x", "http://b.test/x"),
        ("/x?", "http://a.test/x"),
    ],
)
def test_an_address_has_one_spelling(link: str, expected: str) -> None:
    assert normalised(link, BASE) == expected


@together(
    "link",
    [
        "mailto:a@b.test",
        "javascript:void(0)",
        "file:///etc/passwd",
        "ftp://a.test/x",
        "data:text/html,x",
        "http://user:secret@a.test/",
        "http://user@a.test/",
        "http://a.test:99999/",
        "http://a.test:0/",
        "http://",
        "http://a b.test/",
        "http://-a.test/",
        "http://a..test/",
        "http://a%00.test/",
        "http://a%2Ftest/",
        "http://user%40a.test/",
        "http://a.test%3A80/",
        "http://%5B::1%5D/",
        "http://a%2525.test/",
        "http://b%FCcher.test/",
        "http://a%.test/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://a.test/" + "x" * 5000,
    ],
)
def test_what_no_crawler_can_follow_is_no_address(link: str) -> None:
    assert normalised(link, BASE) is None


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(link: str) -> None:
    once = normalised(link, BASE)
    assert once is None or normalised(once) == once


@given(st.text(alphabet="a.%1C3BEFß-Ü:。@", max_size=12))
def test_a_host_has_one_spelling(host: str) -> None:
    address = normalised(f"http://{host}.test/")
    assert address is None or (normalised(address) == address and "%" not in site_of(address))


@given(st.text(alphabet="/.%?#:@[]\\ \tab2fF0&=é\ud800", max_size=30))
def test_an_address_is_plain_ascii_and_has_no_fragment(rest: str) -> None:
    address = normalised("http://a.test/" + rest)
    assert address is None or (address.isascii() and "#" not in address and " " not in address)
    assert address is None or normalised(address) == address


def test_a_site_is_scheme_host_and_port() -> None:
    assert site_of("https://a.test:8443/x//y") == "https://a.test:8443"
    assert host_and_port("https://a.test/x") == ("a.test", 443)
    assert host_and_port("http://[::1]:81") == ("::1", 81)
