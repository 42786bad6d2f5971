"""By which certificates servers are verified where nobody says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


def default_context() -> ssl.SSLContext:
    """The system's certificates, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; httpx's own where there are none."""
    import ssl

    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath and not context.get_ca_certs():
        import certifi

        context.load_verify_locations(certifi.where())
    return context
