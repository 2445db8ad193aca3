"""Certificates of the tests' own authorities, as the PEM files that servers and clients are set up with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

if TYPE_CHECKING:
    from pathlib import Path


class Certificate(NamedTuple):
    """The files of a certificate."""

    chain: Path
    #: In PKCS #8.
    key: Path
    #: Key and chain in one file, as Kafka wants them.
    both: Path


class Authority:
    """An authority that nobody trusts who is not told to; its files are in ``folder``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._authority = trustme.CA()
        #: The file that whoever trusts it needs.
        self.file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *hosts: str, password: str = "") -> Certificate:
        """A certificate of ``name`` for ``hosts``; its key is encrypted if there is a ``password``."""
        made = self._authority.issue_cert(*hosts, common_name=name)
        key = load_pem_private_key(made.private_key_pem.bytes(), None)
        encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        chain_pem = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        files = Certificate(*(self._folder / f"{name}{ending}.pem" for ending in ("", "-key", "-both")))
        for file, content in zip(files, (chain_pem, key_pem, key_pem + chain_pem), strict=True):
            file.write_bytes(content)
        return files
