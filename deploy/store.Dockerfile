# versitygw, an S3 store over a folder, for docker-compose.yml: the same that the tests run against.
FROM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
# Go holds what it fetches to its database of checksums.
RUN GOBIN=/out go install github.com/versity/versitygw/cmd/versitygw@v1.8.0

FROM debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
RUN apt-get update && apt-get upgrade -y && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && install -d -o 10002 -g 10002 /data /data/videos /metadata
COPY --from=build /out/versitygw /usr/local/bin/versitygw
# A bucket is a folder.
VOLUME ["/data", "/metadata"]
USER 10002:10002
ENTRYPOINT ["versitygw"]
CMD ["--port", ":7070", "posix", "--sidecar", "/metadata", "/data"]
