#!/bin/sh
# Makes a package for this Debian in target/debian: the program, its manual and completions, a service and its settings; debug symbols are
# in a package of their own. Takes cargo-deb from the path, or builds it into target/package.
set -eu
cd "$(dirname "$0")/.."
version=3.8.0
package=target/package
deb=$package/bin/cargo-deb
if ! "$deb" --version 2>/dev/null | grep -qF "$version"; then
    deb=$(command -v cargo-deb || true)
fi
if ! "$deb" --version 2>/dev/null | grep -qF "$version"; then
    echo "deb: building cargo-deb $version"
    cargo install -q cargo-deb --version "$version" --locked --root "$package" || {
        echo "deb: cargo-deb $version could not be built" >&2
        exit 1
    }
    deb=$package/bin/cargo-deb
fi
cargo build --release --locked
rm -rf "$package/man" "$package/completions"
mkdir -p "$package/completions"
target/release/millrace man "$package/man"
for shell in bash zsh fish; do
    target/release/millrace completions "$shell" >"$package/completions/$shell"
done
"$deb" --no-build --dbgsym --locked
