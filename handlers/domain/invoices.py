"""The invoice number by which the gateway's lists are searched: derived, so that it can be computed again.

A journal that lost the intent still finds the charge, because the number depends on nothing but the environment, the
operation's id and the attempt. Keyed, so that nobody outside can guess another payment's number. 20 characters of
base 32 are 100 bits. The key must stay the same for as long as the gateway remembers a charge.
"""

import base64
import hashlib
import hmac
from typing import Final

INVOICE_LENGTH: Final = 20  # the gateway's limit (its schema: order.invoiceNumber maxLength 20)


def invoice_number(key: bytes, *, environment: str, operation_id: str, attempt: int) -> str:
    """20 characters of A-Z2-7, the same for the same arguments for ever."""
    message = "\x1f".join((environment, operation_id, str(attempt))).encode()
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return base64.b32encode(digest)[:INVOICE_LENGTH].decode()
