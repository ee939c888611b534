#!/usr/bin/env bash
# Real Celery and Flower, for the tests that talk to them: from PyPI, into a folder of their own. Nothing is installed.
#
#   scripts/celery.sh [FOLDER]      FOLDER is $SONIQUEBAY_CELERY where none is given, and else .cache/celery
#
# Needs python3 with pip. Does nothing where both are there already.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-${SONIQUEBAY_CELERY:-$project/.cache/celery}}

starts() { PYTHONPATH="$folder" python3 -c 'import celery, flower, redis; assert celery.__version__.startswith("5.7.")' 2>/dev/null; }
if starts; then
    exit 0
fi

# Made in a folder beside and moved at the end: what is there is whole.
making="$folder.making"
rm -rf "$making"
mkdir -p "$(dirname "$folder")"
printf '==> Fetching Celery and Flower into %s\n' "$folder" >&2
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$making" \
    'celery[redis]==5.7.*' 'flower==2.2.*'
rm -rf "$folder"
mv "$making" "$folder"
if ! starts; then
    printf 'error: Celery lies in %s, yet does not start: PYTHONPATH=%s python3 -m celery --version\n' "$folder" "$folder" >&2
    exit 1
fi
