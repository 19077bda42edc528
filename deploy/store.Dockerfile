# versitygw, an S3 store over a folder, for docker-compose.yml: the same that the tests run against.
FROM golang:1.26-bookworm AS build
RUN GOBIN=/out go install github.com/versity/versitygw/cmd/versitygw@v1.8.0

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && install -d /data/videos /metadata
COPY --from=build /out/versitygw /usr/local/bin/versitygw
# A bucket is a folder.
VOLUME ["/data", "/metadata"]
ENTRYPOINT ["versitygw"]
CMD ["--port", ":7070", "posix", "--sidecar", "/metadata", "/data"]
