"""Publishes uploads as a team's own program would: a client that is not Millrace's, JSON and Avro, a partitioner of its own.

uploads.py BROKERS REGISTRY TOPIC OUTPUT SOURCE...
"""

import json
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, registry, topic, output, *sources = sys.argv[1:]
producer = Producer({"bootstrap.servers": brokers, "partitioner": "random", "enable.idempotence": True})
client = SchemaRegistryClient({"url": registry})
# The schema that Millrace registered; and one of the team's own, with less in it and in another order.
theirs = client.get_latest_version(f"{topic}-value").schema.schema_str
own = json.dumps({
    "type": "record", "name": "Upload", "namespace": "millrace",
    "fields": [
        {"name": "output_prefix", "type": "string"},
        {"name": "source", "type": ["null", "string"], "default": None},
        {"name": "segment_time_seconds", "type": "double", "default": 15.0},
        {"name": "dst_formats", "type": {"type": "array", "items": "string"}, "default": ["mp4"]},
    ],
})
context = SerializationContext(topic, MessageField.VALUE)
serializers = [
    AvroSerializer(client, theirs, conf={"auto.register.schemas": False, "use.latest.version": True}),
    AvroSerializer(client, own),
]


def value(number, source):
    upload = {"source": source, "output_prefix": output, "segment_time_seconds": 2.0, "dst_formats": ["mp4", "flv"]}
    if number % 2 == 0:
        return json.dumps(upload).encode()
    if number % 4 == 1:
        full = {"oss_bucket_name": None, "video_key": None, "version": None, "name": None, "labels": {}, "overwrite": False,
                "attempt": 1, "work": None, "deadline_seconds": None, "replay": None, "made": []}
        return serializers[0]({**full, **upload}, context)
    return serializers[1](upload, context)


for number, source in enumerate(sources):
    key = None if number % 3 == 0 else source.encode()
    producer.produce(topic, value=value(number, source), key=key)
left = producer.flush(30)
sys.exit(f"{left} records were not delivered" if left else 0)
