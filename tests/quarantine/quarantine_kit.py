"""What the tests of this room share."""

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z
BODY = b"Subject: bad\r\n\r\n" + bytes(range(256)) * 40
HOSTILE = [
    "",
    ".",
    "..",
    "tmp",
    "../../etc/passwd",
    "/etc/passwd",
    "0" * 25,
    "0" * 27,
    "0" * 26 + "\n",
    "0" * 25 + "/",
    "0" * 25 + "w",
    "0" * 25 + "\0",
    "A" * 26,
    "٣" * 26,
    "v" * 26,  # a time beyond any date
]
