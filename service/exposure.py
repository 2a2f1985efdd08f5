"""Who can reach the service: whether it may start without keys."""

from __future__ import annotations

import ipaddress

from service.keyfile import KeyFile
from service.settings import Settings


class ExposedError(RuntimeError):
    """Others could reach the service, and it would ask nobody for a key."""


def is_loopback(host: str) -> bool:
    """Whether an address is reached from its own machine alone; a name other than localhost: no."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_exposed(settings: Settings) -> bool:
    """Whether callers on other machines reach the service."""
    return not is_loopback(settings.published_host or settings.host)


def keys_required(settings: Settings) -> bool:
    """Whether nobody may come in without a key, whether or not there is a file of keys."""
    return is_exposed(settings) and not settings.insecure


def check(settings: Settings) -> str | None:
    """What to warn of loudly at the start; None: nothing.

    Raises:
        ExposedError: there must be a key first.
        KeyFileError: the file of keys cannot be used.
    """
    file = KeyFile.of(settings)
    keys = file.read()
    if not is_exposed(settings) or keys:
        return None
    reached = f"callers on other machines reach {settings.published_host or settings.host}"
    if not settings.insecure:
        raise ExposedError(
            f"{reached}, and there is no API key in {file.path}: make one with `xmadapter keys "
            "create NAME`, or listen on 127.0.0.1, or take the risk with --insecure "
            "(XMADAPTER_INSECURE=true)"
        )
    if keys is not None:
        return None
    return (
        f"{reached}, and nobody is asked for an API key: whoever reaches it can read, teach and "
        "forget everything"
    )
