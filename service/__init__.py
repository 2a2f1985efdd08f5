"""HTTP and the command line: the floor that talks to people.

Nothing heavy is imported here: `service.client` works without torch.
"""

from adapter import __version__

__all__ = ["__version__"]
