"""Exit with 0 when the service in this container answers 200 on /readyz, else with 1.

Slim images have no curl. `http.client`, because `urllib` would go through a proxy set for the
container and ask that for 127.0.0.1. An error ends this with 1 too, and `docker inspect` shows it.
"""

import http.client
import os
import sys


def status(port: int, timeout: float = 3.0) -> int:
    """The status of /readyz on 127.0.0.1:`port`; OSError or HTTPException without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("GET", "/readyz")
    return connection.getresponse().status


if __name__ == "__main__":
    sys.exit(status(int(os.environ.get("XMADAPTER_PORT", "8000"))) != http.client.OK)
