"""Publishes an upload, and waits for what becomes of it:

    python upload.py NAME SOURCE OUTPUT

MILLRACE_BROKERS and MILLRACE_SCHEMA_REGISTRY name the cluster; MILLRACE_TOPIC_PREFIX is what topics' names begin with, if anything.
"""

import json
import os
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

if len(sys.argv) != 4:
    sys.exit("usage: upload.py NAME SOURCE OUTPUT")
name, source, output = sys.argv[1:]
brokers = os.environ["MILLRACE_BROKERS"]
prefix = os.environ.get("MILLRACE_TOPIC_PREFIX", "")

# An upload is JSON, or Avro by a schema of the registry. The same name is the same execution, however often it is published.
# Labels come back on every record about the execution.
upload = {
    "name": name, "source": source, "output_prefix": output, "dst_formats": ["mp4", "flv"], "segment_time_seconds": 5,
    "labels": {"example": name},
}
failed = []
producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True})
producer.produce(f"{prefix}uploads", key=source, value=json.dumps(upload), on_delivery=lambda error, _: error and failed.append(error))
if producer.flush(30) or failed:
    sys.exit(f"the upload was not delivered: {failed or 'no broker answers'}")

# Results are Avro. read_committed, since Millrace writes in transactions. From the start: the execution may have ended before, if its
# name was used before.
read = AvroDeserializer(SchemaRegistryClient({"url": os.environ["MILLRACE_SCHEMA_REGISTRY"]}))
topic = f"{prefix}merged"
consumer = Consumer({
    "bootstrap.servers": brokers, "group.id": "unused", "isolation.level": "read_committed", "enable.auto.commit": False,
})
# Partitions are assigned by hand: this program reads all, and shares them with nobody.
partitions = consumer.list_topics(topic, 10).topics[topic].partitions
consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
while True:
    message = consumer.poll(1)
    if message is None:
        continue
    if message.error():
        sys.exit(str(message.error()))
    merged = read(message.value(), SerializationContext(topic, MessageField.VALUE))
    if merged["labels"].get("example") == name:
        break
consumer.close()
for made in merged["outputs"]:
    print(f"{made['url']} ({made['bytes']} bytes, {made['duration_seconds']:.2f} s)")
if merged["state"] != "succeeded":
    sys.exit(merged["reason"] or "cancelled")
