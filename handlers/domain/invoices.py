"""The invoice number by which the gateway's lists are searched: derived, so that it can be computed again.

A journal that lost the intent still finds the charge, because the number depends on nothing but the environment and the
operation's id. It is the same for every attempt: a journal that was put back in time may remember fewer of them, or a
void where a refund was sent since, and must find whatever went out; the gateway takes a second refund under it for a
duplicate of the first. Keyed, so that nobody outside can guess another payment's number. 20 characters of base 32 are
100 bits. The key must stay the same for as long as the gateway remembers a charge.
"""

import base64
import hashlib
import hmac
from typing import Final

INVOICE_LENGTH: Final = 20  # the gateway's limit (its schema: order.invoiceNumber maxLength 20)
_FIRST: Final = "1"  # numbers that are out already were made with the attempt: they must be found


def invoice_number(key: bytes, *, environment: str, operation_id: str) -> str:
    """20 characters of A-Z2-7, the same for the same arguments for ever."""
    message = f"{environment}\x1f{operation_id}\x1f{_FIRST}".encode()
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return base64.b32encode(digest)[:INVOICE_LENGTH].decode()
