"""The gateway's own words: reason codes with their response code and text, and message codes.

Literal tables only. Which situation leads to which code stands in `charging.py`, `capturing.py`,
`refunding.py` and `protocol.py`.
"""

from __future__ import annotations

APPROVED, DECLINED, ERROR, HELD = "1", "2", "3", "4"

# reason code -> (response code, text)
REASONS: dict[int, tuple[str, str]] = {
    1: (APPROVED, "This transaction has been approved."),
    2: (DECLINED, "This transaction has been declined."),
    3: (DECLINED, "This transaction has been declined."),
    4: (DECLINED, "This transaction has been declined."),
    5: (ERROR, "A valid amount is required."),
    8: (ERROR, "The credit card has expired."),
    11: (ERROR, "A duplicate transaction has been submitted."),
    15: (ERROR, "The transaction ID is invalid or not present."),
    16: (ERROR, "The transaction cannot be found."),
    19: (ERROR, "An error occurred during processing. Please try again."),
    20: (ERROR, "An error occurred during processing. Please try again."),
    21: (ERROR, "An error occurred during processing. Please try again."),
    25: (ERROR, "An error occurred during processing. Please try again."),
    26: (ERROR, "An error occurred during processing. Please try again."),
    27: (DECLINED, "The address provided does not match the billing address of the cardholder."),
    28: (ERROR, "The merchant does not accept this type of credit card."),
    33: (ERROR, "A required field cannot be left blank."),
    36: (ERROR, "The authorization was approved but settlement failed."),
    37: (ERROR, "The credit card number is invalid."),
    39: (ERROR, "The supplied currency code is invalid, not supported or not allowed."),
    41: (DECLINED, "This transaction has been declined."),
    44: (DECLINED, "This transaction has been declined."),
    45: (DECLINED, "This transaction has been declined."),
    47: (
        ERROR,
        "The amount requested for settlement cannot be greater than the amount authorized.",
    ),
    50: (ERROR, "This transaction is awaiting settlement and cannot be refunded."),
    52: (ERROR, "The transaction was authorized but the client could not be notified."),
    54: (ERROR, "The referenced transaction does not meet the criteria for issuing a credit."),
    55: (ERROR, "The sum of credits against the referenced transaction would exceed the original."),
    57: (ERROR, "An error occurred in processing. Please try again."),
    63: (ERROR, "An error occurred in processing. Please try again."),
    65: (DECLINED, "This transaction has been declined."),
    66: (ERROR, "This transaction cannot be accepted for processing."),
    123: (ERROR, "The account does not have the permission required for this request."),
    153: (ERROR, "There was an error processing the payment data."),
    156: (ERROR, "There was an error processing the cryptogram."),
    180: (ERROR, "An error occurred during processing. Please try again."),
    191: (DECLINED, "This transaction has been declined."),
    193: (HELD, "The transaction is currently under review."),
    250: (DECLINED, "This transaction has been declined."),
    252: (HELD, "Your order has been received. Thank you for your business!"),
    253: (HELD, "Your order has been received. Thank you for your business!"),
    254: (DECLINED, "This transaction has been declined."),
    289: (ERROR, "This processor does not accept zero dollar authorization for this card type."),
    295: (
        HELD,
        "The amount of this request was only partially approved on the given prepaid card.",
    ),
    310: (APPROVED, "This transaction has already been voided."),
    311: (APPROVED, "This transaction has already been captured."),
    315: (DECLINED, "The credit card number is invalid."),
    317: (DECLINED, "The credit card has expired."),
    318: (DECLINED, "A duplicate transaction has been submitted."),
    327: (ERROR, "The void failed: the transaction's type or state does not support it."),
}

# Reasons that the gateway finds before it has a transaction: no row, transaction id "0".
WITHOUT_TRANSACTION = frozenset(
    {5, 8, 11, 15, 16, 28, 33, 37, 39, 47, 50, 54, 55, 66, 123, 153, 156, 289, 310, 311, 327}
)

MESSAGES: dict[str, str] = {
    "I00001": "Successful.",
    "I00004": "No records found.",
    "E00001": "An error occurred during processing. Please try again.",
    "E00002": "The content-type specified is not supported.",
    "E00003": "An error occurred while parsing the request.",
    "E00004": "The name of the requested API method is invalid.",
    "E00007": "User authentication failed due to invalid authentication values.",
    "E00011": "Access denied. You do not have permission to call this method.",
    "E00013": "The value given is invalid.",
    "E00014": "A required field is not present.",
    "E00027": "The transaction was unsuccessful.",
    "E00040": "The record cannot be found.",
    "E00051": "The original transaction was not issued for this payment profile.",
    "E00053": "The server is currently too busy, please try again later.",
    "E00091": "PaymentProfileId cannot be sent with payment data.",
    "E00104": "Server in maintenance. Please try again later.",
    "E00113": "Invalid token data.",
    "E00114": "Invalid OTS Token.",
    "E00115": "Expired OTS Token.",
}
