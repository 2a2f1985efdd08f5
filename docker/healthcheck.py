"""Exit with 0 when the service in this container answers 200 on /readyz, else with 1.

Slim images have no curl. `http.client`, because `urllib` would go through a proxy set for the
container and ask that for 127.0.0.1.
"""

import http.client
import os
import sys


def ready(port: int, timeout: float = 3.0) -> bool:
    """Whether /readyz on 127.0.0.1:`port` answers 200 within `timeout` seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if ready(int(os.environ.get("XMADAPTER_PORT", "8000"))) else 1)
