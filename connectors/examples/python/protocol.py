"""The wire: Avro with Confluent's framing on topics, the same records as JSON over HTTP, both signed."""

import base64
import hashlib
import hmac
import io
import json
import struct
import time
from pathlib import Path

import fastavro

# Good for `quietus connector conform` and for nothing else: everybody knows it.
CONFORM_SECRET = "whsec_Y29uZm9ybS1vbmx5LW5vdC1mb3ItcHJvZHVjdGlvbg=="
# A signature over HTTP is refused when it is older, in seconds.
TOLERANCE = 300


class Malformed(Exception):
    """No record of this protocol; what stood there is not repeated."""


class Avro:
    """`00`, the schema's id in four bytes, the record."""

    def __init__(self, folder: Path):
        self.ids = json.loads((folder / "ids.json").read_text())
        self.schemas = {
            name: fastavro.parse_schema(json.loads((folder / name / "v1.avsc").read_text()))
            for name in ("Command", "Confirmation")
        }

    def write(self, name: str, record: dict) -> bytes:
        out = io.BytesIO(struct.pack(">bI", 0, self.ids[name]))
        out.seek(5)
        fastavro.schemaless_writer(out, self.schemas[name], record)
        return out.getvalue()

    def read(self, name: str, data: bytes) -> dict:
        if data is None or len(data) < 5 or struct.unpack(">bI", data[:5]) != (0, self.ids[name]):
            raise Malformed(f"not framed as {name} under id {self.ids[name]}")
        try:
            return in_milliseconds(fastavro.schemaless_reader(io.BytesIO(data[5:]), self.schemas[name]))
        except Exception as error:
            raise Malformed(type(error).__name__) from None


def in_milliseconds(record: dict) -> dict:
    """fastavro makes datetimes of logical times; JSON has them as numbers, and so has this program."""
    times = {k: int(v.timestamp() * 1000) for k, v in record.items() if hasattr(v, "timestamp")}
    return {**record, **times}


class Signer:
    """Standard Webhooks: HMAC-SHA-256 over `id.timestamp.body`."""

    def __init__(self, secret: str):
        secret = secret.strip()
        self.key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()

    def _tag(self, name: str, at: str, body: bytes) -> str:
        signed = f"{name}.{at}.".encode() + body
        return "v1," + base64.b64encode(hmac.new(self.key, signed, hashlib.sha256).digest()).decode()

    def headers(self, name: str, body: bytes) -> dict:
        at = str(int(time.time()))
        return {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": self._tag(name, at, body)}

    def is_signed(self, headers: dict, body: bytes, tolerance: int | None = None) -> bool:
        name, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if tolerance is not None and not (at.isdigit() and abs(time.time() - int(at)) <= tolerance):
            return False
        wanted = self._tag(name, at, body)
        return any(hmac.compare_digest(wanted, one) for one in headers.get("webhook-signature", "").split())
