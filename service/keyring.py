"""The keys that are good at this moment, as a running service sees them."""

from __future__ import annotations

from collections.abc import Mapping

from service import logs
from service.keyfile import KeyFile, KeyFileError, Signature
from service.keys import Key


class Keyring:
    """Follows a file of keys, which several processes may share.

    The file is looked at for every request, so that a revoked key is refused from the next one
    on. What cannot be read lets nobody in.

    Args:
        file: of the keys.
        required: let nobody in without a file either.
    """

    def __init__(self, file: KeyFile, *, required: bool = False) -> None:
        self._file = file
        self._required = required
        self._keys: Mapping[str, Key] | None = None
        self._signature: Signature | None = None
        self._trouble: str | None = None

    def keys(self) -> Mapping[str, Key] | None:
        """The keys by id; None where none is asked for, since there is no file.

        Raises:
            KeyFileError: nobody may come in; the log says once why.
        """
        try:
            self._follow()
        except KeyFileError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                logs.trouble("nobody is let in", error=self._trouble)
            raise
        if self._trouble is not None:
            self._trouble = None
            logs.event("the API keys can be read again", file=self._file.path)
        return self._keys

    def _follow(self) -> None:
        # Before it is read: a file that is replaced in between is then read once more.
        signature = self._file.signature()
        if signature is None:
            self._without_file()
        elif signature != self._signature:
            read = self._file.read()
            if read is None:
                self._without_file()
            else:
                self._keys = {key.id: key for key in read}
                self._signature = signature

    def _without_file(self) -> None:
        if self._keys is not None:
            raise KeyFileError(
                f"the file of API keys {self._file.path} is gone: put it back; to serve without "
                "keys, which is for loopback addresses, start the service again"
            )
        if self._required:
            raise KeyFileError(
                f"there is no file of API keys {self._file.path}: make a key with "
                "`xmadapter keys create NAME`"
            )
