"""A processor of your own: reads `merged`, and writes a JSON file for each execution that ended.

    python catalogue.py FOLDER

It runs until Ctrl-C or SIGTERM. Start it several times: the processes share the partitions. The variables are those of upload.py.
"""

import json
import os
import pathlib
import signal
import sys

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

if len(sys.argv) != 2:
    sys.exit("usage: catalogue.py FOLDER")
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
topic = os.environ.get("MILLRACE_TOPIC_PREFIX", "") + "merged"
read = AvroDeserializer(SchemaRegistryClient({"url": os.environ["MILLRACE_SCHEMA_REGISTRY"]}))
consumer = Consumer({
    "bootstrap.servers": os.environ["MILLRACE_BROKERS"], "group.id": os.environ.get("GROUP", "catalogue"),
    # Millrace writes in transactions.
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
    # An offset is committed below, once its file is written.
    "enable.auto.commit": False,
})


def handle(merged):
    """Runs again with the same record after a crash, so it must do no harm the second time: it writes the same file."""
    path = folder / f"{merged['execution']}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(merged, indent=2))
    part.replace(path)


stopping = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: stopping.append(True))
consumer.subscribe([topic])
while not stopping:
    message = consumer.poll(0.5)
    if message is None:
        continue
    if message.error():
        # Brokers that are away come back; librdkafka tries again by itself.
        print(message.error(), file=sys.stderr)
        continue
    try:
        merged = read(message.value(), SerializationContext(topic, MessageField.VALUE))
    except Exception as error:  # A stranger's record must not hold up the partition.
        print(f"{topic} {message.partition()} {message.offset()}: {error}", file=sys.stderr)
    else:
        handle(merged)
    consumer.commit(message, asynchronous=False)
# Leaves the group at once, so that its partitions move without a wait.
consumer.close()
