#!/bin/sh
# Fetches what tests run against, into target/servers: Apache Kafka and Apicurio Registry, by Maven, and a Kafka client that is
# not ours, by pip. Does nothing where they are there already.
set -eu
cd "$(dirname "$0")/.."
kafka=4.1.0
registry=2.6.13.Final
into=${MILLRACE_SERVERS:-target/servers}
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
mkdir -p "$into"
fetch() {
    mvn -q -B "$@" || { echo "servers: Maven could not fetch $name; without it tests that need it fail" >&2; exit 1; }
}
if [ ! -f "$into/kafka/kafka_2.13-$kafka.jar" ]; then
    name="Apache Kafka $kafka"
    echo "servers: fetching $name"
    rm -rf "$into/kafka"
    fetch -f servers/pom.xml "$plugin:copy-dependencies" -DoutputDirectory="$(pwd)/$into/kafka.part"
    mv "$into/kafka.part" "$into/kafka"
fi
if [ ! -f "$into/registry/apicurio-registry-app-$registry-runner.jar" ]; then
    name="Apicurio Registry $registry"
    echo "servers: fetching $name"
    rm -rf "$into/registry"
    fetch "$plugin:unpack" -Dartifact="io.apicurio:apicurio-registry-app:$registry:tar.gz:all" -DoutputDirectory="$(pwd)/$into/registry.part" -DmarkersDirectory="$(pwd)/$into/markers"
    mv "$into/registry.part" "$into/registry"
fi
if [ ! -f "$into/python/complete" ]; then
    echo "servers: fetching confluent-kafka for Python"
    rm -rf "$into/python"
    python3 -m venv "$into/python"
    "$into/python/bin/pip" install -q "confluent-kafka[avro,schemaregistry]==2.12.2" || {
        echo "servers: pip could not fetch confluent-kafka; without it tests that need it fail" >&2
        exit 1
    }
    touch "$into/python/complete"
fi
