#!/bin/sh
# Runs `make test` on what is committed, in a fresh Debian 13:
#
#   sudo env "PATH=$PATH" "HOME=$HOME" scripts/debian.sh                    # make test
#   sudo env "PATH=$PATH" "HOME=$HOME" scripts/debian.sh make test-setup    # another command
#
# Needs root, debootstrap, git, and Rust on this machine: its toolchain is mounted into the new system, read-only. Packages of Debian are
# installed there, not here. The new system is a folder, and stays for the next call; remove it to begin afresh.
#
#   SUITE=trixie      another release of Debian
#   FOLDER=target/debian-trixie
#   MIRROR=http://deb.debian.org/debian
#
# Mounts are made in a mount namespace of their own, so nothing stays mounted, whatever ends this script. The root is changed by
# pivot_root, not by chroot: in a chroot the kernel allows no user namespaces, and tests of the sandbox would skip a layer.
set -eu
cd "$(dirname "$0")/.."
suite=${SUITE:-trixie}
folder=${FOLDER:-target/debian-$suite}
mirror=${MIRROR:-http://deb.debian.org/debian}
[ $# -gt 0 ] || set -- make test

[ "$(id -u)" = 0 ] || { echo "debian: run this as root" >&2; exit 1; }
for command in debootstrap git rustc unshare pivot_root; do
    command -v "$command" >/dev/null || { echo "debian: '$command' is missing; install it, and run this again" >&2; exit 1; }
done

if [ ! -f "$folder/complete" ]; then
    echo "debian: installing Debian $suite into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    debootstrap --variant=minbase --include=ca-certificates,git,make "$suite" "$folder" "$mirror" >"$folder.log" 2>&1 || {
        echo "debian: debootstrap failed; $folder.log says why" >&2
        exit 1
    }
    touch "$folder/complete"
fi
folder=$(cd "$folder" && pwd)

# What this machine trusts and how it reaches the network.
cp -L /etc/resolv.conf "$folder/etc/resolv.conf"
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
    cp /usr/local/share/ca-certificates/*.crt "$folder/usr/local/share/ca-certificates/"
fi

# A clone, so that builds of this machine are left alone; it keeps its own builds.
here=$(pwd)
commit=$(git -c safe.directory="$here" rev-parse HEAD)
source=$folder/root/millrace
[ -d "$source/.git" ] || git init -q "$source"
git -C "$source" -c safe.directory='*' fetch -q "$here" HEAD
git -C "$source" checkout -q --force --detach "$commit"

mkdir -p "$folder/opt/rust" "$folder/old"
toolchain=$(rustc --print sysroot)

echo "debian: $* at commit $(git rev-parse --short "$commit"), in Debian $(cat "$folder/etc/debian_version")"
export folder toolchain
exec unshare --mount --pid --fork --propagation private sh -euc '
    mount --bind "$folder" "$folder"
    mount --bind "$toolchain" "$folder/opt/rust"
    mount -o remount,bind,ro "$folder/opt/rust"
    mount --rbind /dev "$folder/dev"
    mount -t proc proc "$folder/proc"
    mount --rbind /sys "$folder/sys"
    cd "$folder"
    pivot_root . old
    cd /
    umount -l /old
    export HOME=/root USER=root LANG=C.UTF-8 PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    unset CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN folder toolchain
    update-ca-certificates >/dev/null
    cd /root/millrace
    exec "$@"
' sh "$@"
