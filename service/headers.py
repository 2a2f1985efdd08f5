"""What every answer tells a browser: guess no type, run nothing, show it in no frame, keep nothing.

The pages under /docs run the scripts that FastAPI names in them; they alone are let.
"""

from __future__ import annotations

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

PAGES = ("/docs", "/redoc")
_CDN = "https://cdn.jsdelivr.net"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_SCRIPTS = (
    f"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"connect-src 'self'; script-src {_CDN} 'unsafe-inline'; "
    f"style-src {_CDN} https://fonts.googleapis.com 'unsafe-inline'; "
    "font-src https://fonts.gstatic.com data:; img-src 'self' https: data:; worker-src blob:"
)
_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_KEEP_NOTHING = (b"cache-control", b"no-store")

DATA: Headers = [
    *_ALWAYS,
    (b"content-security-policy", _NOTHING.encode()),
]
PAGE: Headers = [*_ALWAYS, (b"content-security-policy", _SCRIPTS.encode())]


def secured(path: str, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """An answer's headers with those that protect it; a `Cache-Control` of its own stays."""
    kept, found = False, []
    for header in headers:
        found.append(header)
        kept = kept or header[0].lower() == _KEEP_NOTHING[0]
    found += PAGE if path.startswith(PAGES) else DATA
    if not kept:
        found.append(_KEEP_NOTHING)
    return found
