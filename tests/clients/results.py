"""Reads a topic from its beginning to its end as another program would, and prints a line of JSON for each record.

results.py BROKERS REGISTRY TOPIC
"""

import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, registry, topic = sys.argv[1:]
consumer = Consumer({
    "bootstrap.servers": brokers, "group.id": "results", "isolation.level": "read_committed",
    "auto.offset.reset": "earliest", "enable.auto.commit": False, "enable.partition.eof": True,
})
read = AvroDeserializer(SchemaRegistryClient({"url": registry}))
partitions = list(consumer.list_topics(topic, 10).topics[topic].partitions)
consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
open_ones = set(partitions)
while open_ones:
    message = consumer.poll(30)
    if message is None:
        sys.exit("nothing came for 30 s")
    if message.error():
        if message.error().code() != KafkaError._PARTITION_EOF:
            sys.exit(str(message.error()))
        open_ones.discard(message.partition())
        continue
    record = read(message.value(), SerializationContext(topic, MessageField.VALUE))
    print(json.dumps({"key": (message.key() or b"").decode(), "record": record}, default=repr))
consumer.close()
