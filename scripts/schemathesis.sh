#!/usr/bin/env bash
# Schemathesis, which a test runs over the description of the API: it makes up requests from it and holds the answers
# against it. About 20 MB are fetched by pip, into a folder of its own; nothing is installed.
#
#   scripts/schemathesis.sh [FOLDER]      FOLDER is $SONIQUEBAY_SCHEMATHESIS where none is given, and else .cache/schemathesis
#
# Needs python3 with pip. Does nothing where it is already there and starts.
set -euo pipefail

VERSION=4.32.5

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-${SONIQUEBAY_SCHEMATHESIS:-$project/.cache/schemathesis}}

is_there() { PYTHONPATH="$folder" python3 -m schemathesis.cli --version 2>/dev/null | grep -qF "version $VERSION"; }
is_there && exit 0

# Made beside and moved at the end: what is there is whole.
making="$folder.making"
rm -rf "$making" "$folder"
mkdir -p "$(dirname "$folder")"
printf '==> Fetching Schemathesis %s into %s\n' "$VERSION" "$folder" >&2
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$making" \
    "schemathesis==$VERSION"
mv "$making" "$folder"
is_there || {
    printf 'error: Schemathesis is in %s, yet does not start: PYTHONPATH=%s python3 -m schemathesis.cli --version\n' \
        "$folder" "$folder" >&2
    exit 1
}
