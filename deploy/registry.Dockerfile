# Apicurio Registry, in memory, for docker-compose.yml: the same that the tests run against, held to the checksum of what they run.
FROM debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171 AS fetch
ARG VERSION=2.6.13.Final
ARG SHA256=3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba
RUN apt-get update && apt-get install -y --no-install-recommends maven && rm -rf /var/lib/apt/lists/*
WORKDIR /out
RUN mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact="io.apicurio:apicurio-registry-app:$VERSION:tar.gz:all" -DoutputDirectory=/fetched \
    && mv /fetched/*.tar.gz /fetched.tar.gz \
    && echo "$SHA256  /fetched.tar.gz" | sha256sum -c \
    && tar -xzf /fetched.tar.gz \
    && ln -s "apicurio-registry-app-$VERSION-runner.jar" registry.jar

FROM debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
RUN apt-get update && apt-get upgrade -y && apt-get install -y --no-install-recommends ca-certificates curl openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=fetch /out /registry
USER 10003:10003
ENTRYPOINT ["java", "-Djava.io.tmpdir=/tmp", "-Dquarkus.http.host=0.0.0.0", "-jar", "/registry/registry.jar"]
