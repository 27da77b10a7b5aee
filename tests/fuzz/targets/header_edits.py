"""Dressing: what is taken off and put before is exactly what was meant, and every other byte stays as it came."""

import re

from relay.headers.dress import LOOP, REMOVED, SPAM, Stamps, dress
from relay.headers.stamps import REPORT_COPY
from verdicts.fields import Fields

RECEIVED = b"Received: from a ([192.0.2.1])\r\n\tby b with ESMTP id c;\r\n"
TRACE = b"X-Sluice-Trace: v=1;\r\n"
NAMES = {name.lower().encode() for name in REMOVED}
SEEDS = [
    bytes([flags]) + head
    for flags in (0, 7, 15)
    for head in (
        b"Subject: x\r\n\r\nbody",
        b"X-PERCEPTION-POINT-SPAM: FAIL\r\nX-Perception-Point-Spam\t:\r\n y\r\nTo: z\r\n\r\n",
        b"From: a\nX-PP-Forefront-Antispam-Report: CIP:192.0.2.1;\n\tSCL:9\n\nbody\n",
        b"X-Forefront-Antispam-Report: CIP:192.0.2.7;SCL:9;\r\n SFV:SPM;\r\n\r\n",
        b" continues\r\nX-PERCEPTION-POINT-SPAM\r\n : FAIL",
        b"\r\nX-PERCEPTION-POINT-SPAM: FAIL\r\n",
    )
]


def fields_of(message: bytes) -> tuple[list[bytes], bytes]:
    """The fields, line by line and naively, and all that is behind them, blank line included."""
    fields: list[bytes] = []
    at = 0
    for line in re.findall(rb"[^\n]*\n|[^\n]+\Z", message):
        if line in {b"\r\n", b"\n"}:
            break
        if fields and line[:1] in {b" ", b"\t"}:
            fields[-1] += line
        else:
            fields.append(line)
        at += len(line)
    return fields, message[at:]


def ours_to_say(field: bytes) -> bool:
    name, colon, _ = field.partition(b":")
    return bool(colon) and name.rstrip(b" \t\r\n").lower() in NAMES


def check(data: bytes) -> None:
    flags, message = data[0] if data else 0, data[1:]
    spam, copy_report, observe = bool(flags & 1), bool(flags & 4), bool(flags & 8)
    loop_value = "k7Jq2mV9xT4b" if flags & 2 else None
    fields = Fields.parse(message)
    head, rest = dress(fields, message, Stamps(RECEIVED, TRACE, spam, loop_value, copy_report, observe))
    dressed = b"".join(head) + message[rest:]

    there, behind = fields_of(message)
    kept = b"".join(field for field in there if observe or not ours_to_say(field)) + behind
    assert dressed.endswith(kept)
    put, not_put = fields_of(dressed[: len(dressed) - len(kept)])
    assert not_put == b""
    assert put[0] == RECEIVED
    assert put[-1] == TRACE
    for field in put:
        assert field.endswith(b"\r\n")
        assert field.isascii()
        assert field.count(b"\r") == field.count(b"\n") == field.count(b"\r\n")
        assert max(map(len, field.split(b"\r\n"))) <= 998
    names = [field.partition(b":")[0].decode() for field in put]
    copied = [REPORT_COPY] if REPORT_COPY in names else []
    assert not copied or (copy_report and not observe)
    expected = ["Received", *copied, *[SPAM] * (spam and not observe), *[LOOP] * (loop_value is not None)]
    assert names == [*expected, "X-Sluice-Trace"]

    again = Fields.parse(dressed)
    assert again.end - (len(dressed) - len(message)) == fields.end
    assert again.closed == fields.closed
    if not observe:
        assert len(again.all(SPAM)) == spam
        assert len(again.all(REPORT_COPY)) == len(copied)
