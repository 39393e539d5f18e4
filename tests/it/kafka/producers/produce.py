"""Lifecycle events as a company's own Python program writes them: Avro under the bundled schemas' ids."""

import io
import json
import struct
import sys
from pathlib import Path

import fastavro
from confluent_kafka import Producer

brokers, topic, first, last, schemas = sys.argv[1:]
folder = Path(schemas)
number = json.loads((folder / "ids.json").read_text())["ItemRecorded"]
schema = fastavro.parse_schema(json.loads((folder / "ItemRecorded" / "v1.avsc").read_text()))
producer = Producer({"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": True})
for id in range(int(first), int(last) + 1):
    event = {
        "subject": f"customer_id:{id}",
        "category": ["user.contact.email"],
        "purposes": ["service"],
        "recorded_at": 1_577_836_800_000,
        "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": str(id)}}],
    }
    out = io.BytesIO()
    out.write(struct.pack(">bI", 0, number))
    fastavro.schemaless_writer(out, schema, event)
    producer.produce(topic, key=str(id), value=out.getvalue())
producer.flush()
