"""Which hosts are this machine itself."""

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address can be answered by this machine alone: localhost, 127.0.0.0/8, ::1."""
    if host is None:
        return False
    name = host.strip("[]").lower().removesuffix(".")
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
