"""HTTP without TLS, as the tests speak it with services on this machine."""

from __future__ import annotations

import ssl

#: For ``verify`` of an ``httpx`` client: trusts nobody. Else each client reads all authorities that the system trusts,
#: which takes longer than most tests' requests together.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
