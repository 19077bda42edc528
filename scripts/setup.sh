#!/bin/sh
# Installs what Millrace is built with, on Debian and its relatives, and says what it does; with "tests" also what its tests
# need: Java 17 or later, Maven and Python, for real servers and for a client that is not ours, and MKVToolNix, which reads Matroska. Does nothing where all is there. Needs
# root, or sudo.
set -eu

libraries="libavcodec libavfilter libavformat libavutil libswscale libswresample libssl libsasl2 libcurl zlib"
packages="ffmpeg pkg-config clang libclang-dev gcc g++ libc6-dev make cmake \
libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev \
libssl-dev libsasl2-dev libcurl4-openssl-dev zlib1g-dev"
commands="ffmpeg ffprobe pkg-config clang cc c++ cmake"
# The first number of `java -version`'s: 17 of "17.0.21"; 0 without Java, 1 of Java 8 ("1.8.0").
java_version() {
    found=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    echo "${found:-0}"
}
if [ "${1:-}" = tests ]; then
    # Debian's own choice: Java 17 in Debian 12, 21 in Debian 13. Kafka needs 17.
    packages="$packages default-jre-headless maven python3-venv mkvtoolnix"
    commands="$commands java keytool mvn python3 mkvmerge mkvextract"
fi

missing=""
for command in $commands; do
    command -v "$command" >/dev/null 2>&1 || missing="$missing $command"
done
if [ "${1:-}" = tests ] && [ "$(java_version)" -lt 17 ]; then
    missing="$missing java>=17"
fi
if command -v pkg-config >/dev/null 2>&1; then
    for library in $libraries; do
        pkg-config --exists "$library" || missing="$missing $library"
    done
fi
# bindgen needs libclang itself, not only the compiler.
find /usr/lib /usr/local/lib -maxdepth 4 -name 'libclang*.so*' 2>/dev/null | grep -q . || missing="$missing libclang"

if [ -n "$missing" ]; then
    echo "setup: missing:$missing"
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: this is no Debian; install FFmpeg 5.1 or later with its development files, clang and libclang, and run this again" >&2
        exit 1
    fi
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || { echo "setup: run 'apt-get install $packages' as root, then this again" >&2; exit 1; }
        as_root=sudo
    fi
    echo "setup: installing $packages"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: Rust is missing; install it from https://rustup.rs, and run this again" >&2
    exit 1
fi
for encoder in libx264 libx265 libsvtav1 libvpx-vp9; do
    ffmpeg -hide_banner -encoders 2>/dev/null | grep -q "$encoder" || { echo "setup: this ffmpeg has no $encoder" >&2; exit 1; }
done
if [ "${1:-}" = tests ] && [ "$(java_version)" -lt 17 ]; then
    echo "setup: the first 'java' on the path is version $(java_version), and Kafka needs 17; put a later one first" >&2
    exit 1
fi
