#!/usr/bin/env python3
"""A connector for quietus: commands from a topic or over HTTP, carried out on a SQLite database.

    python connector.py --brokers 127.0.0.1:9092      # commands from quietus.commands
    python connector.py --listen 127.0.0.1:8080       # commands by POST

`--no-dedupe`, `--no-verify` and `--no-not-after` each break one law, for `quietus connector conform` to find.
"""

import argparse
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from protocol import CONFORM_SECRET, TOLERANCE, Avro, Malformed, Signer
from target import Target

CONFORM = "conform"


class Connector:
    def __init__(self, args: argparse.Namespace):
        secret = os.environ.get("QUIETUS_CONNECTOR_SECRET")
        self.signer = Signer(secret or CONFORM_SECRET)
        # Whoever knows the example's secret may only try it out.
        self.systems = {CONFORM, args.system} if secret else {CONFORM}
        self.target = Target(args.database, not args.no_dedupe, not args.no_verify, not args.no_not_after)
        if not secret:
            print("QUIETUS_CONNECTOR_SECRET is not set: only `quietus connector conform` is served", file=sys.stderr)

    def answer(self, command: dict) -> dict | None:
        """None = it is for somebody else."""
        if command["system"] not in self.systems:
            return None
        if command["system"] == CONFORM and not command["dataset"].startswith("conform."):
            return None
        return self.target.handle(command)


def serve_topic(connector: Connector, args: argparse.Namespace) -> None:
    from confluent_kafka import Consumer, Producer

    avro = Avro(args.schemas)
    consumer = Consumer({
        "bootstrap.servers": args.brokers,
        "group.id": f"{args.topic}.{args.system}",
        # One that was killed is waited for no longer than this.
        "session.timeout.ms": 10000,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "topic.metadata.refresh.interval.ms": 1000,
    })
    producer = Producer({"bootstrap.servers": args.brokers, "acks": "all", "enable.idempotence": True})
    consumer.subscribe([args.topic])
    print(f"listening to {args.topic}", file=sys.stderr, flush=True)
    while not STOPPED:
        batch = [m for m in consumer.consume(500, 0.2) if is_message(m)]
        commands = [c for c in (read(connector, avro, m) for m in batch) if c is not None]
        # What was taken back overtakes what it takes back, as far as both are here.
        commands.sort(key=lambda command: command["action"] != "recall")
        for said in filter(None, map(connector.answer, commands)):
            value = avro.write("Confirmation", said)
            signed = list(connector.signer.headers(said["id"], value).items())
            producer.produce(args.confirmations, key=said["id"], value=value, headers=signed)
        if batch:
            # Once the answers are durable: a crash repeats the commands, and their answers are remembered.
            producer.flush()
            consumer.commit(asynchronous=False)
    consumer.close()


def is_message(message) -> bool:
    from confluent_kafka import KafkaError

    # The topic may not be there yet.
    if message.error() and message.error().code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        print(f"kafka: {message.error()}", file=sys.stderr)
    return not message.error()


def read(connector: Connector, avro: Avro, message) -> dict | None:
    """None = not signed, or no command."""
    headers = {name: value.decode() for name, value in message.headers() or [] if value is not None}
    if not connector.signer.is_signed(headers, message.value() or b""):
        return None
    try:
        return avro.read("Command", message.value())
    except Malformed as why:
        print(f"offset {message.offset()}: {why}", file=sys.stderr)
        return None


def serve_http(connector: Connector, args: argparse.Namespace) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if not connector.signer.is_signed(headers, body, TOLERANCE):
                return self.send_error(401)
            commands = json.loads(body)["commands"]
            said = [one for one in map(connector.answer, commands) if one is not None]
            answer = json.dumps({"confirmations": said}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            for name, value in connector.signer.headers(headers["webhook-id"], answer).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    host, port = args.listen.rsplit(":", 1)
    server = HTTPServer((host, int(port)), Handler)
    print(f"listening on http://{host}:{server.server_port}", file=sys.stderr, flush=True)
    server.timeout = 0.2
    while not STOPPED:
        server.handle_request()


STOPPED: list[int] = []


def main() -> None:
    schemas = Path(__file__).resolve().parents[3] / "schemas" / "avro"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--brokers", help="HOST:PORT,…")
    where.add_argument("--listen", help="HOST:PORT of an HTTP server")
    parser.add_argument("--system", default="crm", help="its name in quietus")
    parser.add_argument("--database", default="connector.db", help="the SQLite file")
    parser.add_argument("--topic", default="quietus.commands")
    parser.add_argument("--confirmations", help="default: as the commands' topic, .commands replaced")
    parser.add_argument("--schemas", type=Path, default=schemas)
    for broken in ("dedupe", "verify", "not-after"):
        parser.add_argument(f"--no-{broken}", action="store_true", help="break this law")
    args = parser.parse_args()
    stem = args.topic.removesuffix(".commands")
    args.confirmations = args.confirmations or f"{stem}.confirmations"
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda number, _: STOPPED.append(number))
    connector = Connector(args)
    (serve_topic if args.brokers else serve_http)(connector, args)


if __name__ == "__main__":
    main()
