"""Addresses of pages: one spelling each, so that no page is fetched twice under two names."""

import ipaddress
import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

MAX_LENGTH = 4000
"""Longer ones come from links that grow at every step."""

_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/:@!$&'()*+,;=-._~%"
_QUERY_SAFE = _PATH_SAFE + "?[]|"
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HOST = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_DROPPED = frozenset((
    "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "gad_source", "srsltid", "_ga", "_gl", "fbclid", "msclkid", "yclid",
    "ttclid", "twclid", "li_fat_id", "igshid", "mc_cid", "mc_eid", "mkt_tok", "_hsenc", "_hsmi", "vero_id",
    "oly_anon_id", "oly_enc_id", "s_kwcid", "phpsessid", "jsessionid", "cfid", "cftoken", "zenid", "oscsid",
    "gad_campaignid", "ysclid", "_openstat", "wt.mc_id", "hsctatracking", "__hstc", "__hssc", "__hsfp", "epik",
    "irclickid", "cjevent", "_branch_match_id", "pk_campaign", "pk_kwd", "pk_source", "pk_medium", "pk_content",
    "pk_cid",
))  # fmt: skip
"""Parameters that say who follows a link and where it was found, and never which page it is."""
_DROPPED_STARTS = ("utm_", "mtm_", "hsa_", "aspsessionid")
# As Java and PHP write it, and ASP.NET: /(S(…))/page.aspx
_SESSION_IN_PATH = re.compile(r";(?:jsessionid|phpsessid)=[^/;]*|/\((?:[AFSX]\([^()/]{1,200}\)){1,9}\)(?=/)", re.I)
_IGNORED = str.maketrans("", "", "\t\r\n")
_TRIMMED = "".join(map(chr, range(33)))


def normalised(link: str, base: str | None = None) -> str | None:
    """Return the address that a link on the page ``base`` leads to, or None when no crawler can follow it.

    Lower-case scheme and host (international names, escaped or not, in their ASCII form), no default port, no dot
    segments, no fragment, no known parameter of a session or a campaign, escapes in one spelling. The result normalises
    to itself. None: other schemes than http and https, user names, hosts and ports that cannot be, and what is longer
    than 4,000 characters.
    """
    try:
        trimmed = link.strip(_TRIMMED).translate(_IGNORED)
        parts = _resolved(urlsplit(_forward(trimmed)), base)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or parts.username is not None:
        return None
    host = _host(parts.hostname or "")
    if host is None or port == 0:
        return None
    site = f"{parts.scheme}://{host}" if port in {None, _PORTS[parts.scheme]} else f"{parts.scheme}://{host}:{port}"
    kept = _without_sessions(parts.query)
    query = f"?{_escaped(kept, _QUERY_SAFE)}" if kept else ""
    address = f"{site}{_path(_SESSION_IN_PATH.sub('', parts.path))}{query}"
    return address if len(address) <= MAX_LENGTH else None


def advice(host: str | None) -> str:
    """Return what to tell whoever gave an address that has no normalised form. It shows no user name and password."""
    return f"an address of {host or 'the host'} cannot be fetched; give it as http(s)://host/path without a user name"


def site_of(address: str) -> str:
    """Return scheme, host and port of a normalised address: what "the same site" compares."""
    return address[: address.index("/", address.index("//") + 2)]


def host_and_port(site: str) -> tuple[str, int]:
    """Return the host (without brackets) and the port of a normalised address or site."""
    parts = urlsplit(site)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _resolved(parts: SplitResult, base: str | None) -> SplitResult:
    """Resolve by RFC 3986, 5.2. Not ``urljoin``: that takes ``x//y`` for ``x/y``, which can be another page."""
    if parts.scheme or base is None:
        return parts
    against = urlsplit(base)
    if parts.netloc:
        return parts._replace(scheme=against.scheme)
    if not parts.path:
        return against._replace(query=parts.query or against.query)
    folder = "" if parts.path.startswith("/") else against.path.rpartition("/")[0] + "/"
    return against._replace(path=folder + parts.path, query=parts.query)


def _forward(link: str) -> str:
    """Browsers take a backslash for a slash, but not in the query."""
    if "\\" not in link:
        return link
    end = min((at for at in (link.find("?"), link.find("#")) if at >= 0), default=len(link))
    return link[:end].replace("\\", "/") + link[end:]


def _host(name: str) -> str | None:
    if ":" in name:
        return _ipv6(name)
    try:
        name = unquote(name, errors="strict")
    except UnicodeDecodeError:
        return None
    name = name.lower().removesuffix(".")
    if not name.isascii():
        name = _ascii_form(name)
    return name if len(name) <= 253 and _HOST.fullmatch(name) else None


def _ipv6(name: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(name)
    except ValueError:
        return None
    return None if address.scope_id else f"[{address.compressed}]"


def _ascii_form(name: str) -> str:
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def _without_sessions(query: str) -> str:
    if not query:
        return ""
    return "&".join(part for part in query.split("&") if not _is_dropped(part.partition("=")[0].lower()))


def _is_dropped(name: str) -> bool:
    return name in _DROPPED or name.startswith(_DROPPED_STARTS)


def unescaped(text: str) -> str:
    """Undo needless escapes; the others in upper case."""
    return _ESCAPE.sub(_in_one_spelling, text)


def _path(path: str) -> str:
    kept: list[str] = []
    segments = _escaped(path, _PATH_SAFE).split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _escaped(text: str, safe: str) -> str:
    whole = _STRAY_PERCENT.sub("%25", text)
    return quote(unescaped(whole), safe=safe, errors="replace")


def _in_one_spelling(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
