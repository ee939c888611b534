#!/usr/bin/env bash
# A real llama-server, the engine inside Ollama, for the tests of remote embedding: the llama.cpp packages of Debian's
# unstable release, unpacked into a folder of their own and run there by chroot. Nothing is installed and nothing is
# compiled; about 13 MB are fetched from the package archive that this machine's apt uses already.
#
#   scripts/llama_server.sh [FOLDER]      FOLDER is $SONIQUEBAY_LLAMA where none is given, and else .cache/llama
#
# Needs root (for chroot) and apt. Does nothing where the server is already there and starts.
set -euo pipefail

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-${SONIQUEBAY_LLAMA:-$project/.cache/llama}}
((EUID == 0)) || fail "llama-server is run by chroot: be root"
command -v apt-get >/dev/null || fail "apt-get is missing: the packages of llama-server are Debian's"

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root="$folder/root"
starts() { chroot "$root" /usr/bin/llama-server --version >/dev/null 2>&1; }
if [[ -x "$root/usr/bin/llama-server" ]] && starts; then
    exit 0
fi

# Everything is made in a folder beside and moved at the end: what is there is whole.
making="$folder/making"
rm -rf "$making" "$root"
mkdir -p "$making"/{lists/partial,cache/archives/partial,packages,root}
: >"$making/status"

archive=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' || true)
[[ -n "$archive" ]] || fail "apt's sources name no Debian archive"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -f "$keyring" ]] || fail "there is no $keyring: install debian-archive-keyring"
echo "deb [signed-by=$keyring] $archive sid main" >"$making/sources.list"

apt=(
    -o Dir::Etc::sourcelist="$making/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State::lists="$making/lists" -o Dir::State::status="$making/status" -o Dir::Cache="$making/cache"
    # The folder may belong to somebody whom apt's own user cannot see.
    -o APT::Sandbox::User=root
)
printf '==> Fetching llama-server (about 13 MB) into %s\n' "$folder" >&2
apt-get "${apt[@]}" update -qq
(
    cd "$making/packages"
    apt-get "${apt[@]}" download -qq llama.cpp-tools libllama0 libggml0 libc6 libgcc-s1 libgomp1 libstdc++6 libzstd1 \
        zlib1g libssl3t64
    for package in *.deb; do dpkg -x "$package" ../root; done
)

(
    cd "$making/root"
    for link in lib lib64 bin; do
        [[ -e "$link" ]] || ln -s "usr/$link" "$link"
    done
    mkdir -p proc dev tmp models
    # What the server opens of /dev.
    [[ -e dev/urandom ]] || mknod -m 444 dev/urandom c 1 9
    [[ -e dev/null ]] || mknod -m 666 dev/null c 1 3
)
mv "$making/root" "$root"
rm -rf "$making"
starts || fail "llama-server is unpacked in $root, yet does not start: chroot $root /usr/bin/llama-server --version"
chroot "$root" /usr/bin/llama-server --version 2>&1 | head -n 1 >&2
