"""The certificates that this machine trusts, as every connection of the process uses them."""

import os
import ssl
from functools import lru_cache


def trusted() -> ssl.SSLContext:
    """What connections are checked with; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are heeded. Blocks for 20 to 80 ms.

    Read once a process, not once a client: each knowledge base with a server of its own, each crawl and each command
    with ``--server`` makes one. A bundle that is replaced in place is therefore read at the next start. Raises OSError
    when they cannot be read.
    """
    return _read(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=4)
def _read(file: str | None, folder: str | None) -> ssl.SSLContext:
    """By what the environment names, which is looked at again each time. What cannot be read is not kept."""
    import httpx2

    return httpx2.create_ssl_context()
