#!/usr/bin/env bash
# Builds what is given to users: for x86-64 and Arm, each an archive that runs on glibc 2.31 and later (Debian 11, Ubuntu
# 20.04, Raspberry Pi OS 11), a bill of materials, and SHA-256 sums, all in target/archives. Checked before it is called done.
#
#   scripts/release.sh [TARGET…]     x86_64 and aarch64 where none is named
#
# Zig and cargo-zigbuild come by pip into .cache/release (some 100 MB), cargo-cyclonedx is built into target/tools; nothing
# is installed but build-essential, python3-pip and the Arm emulator, where they are missing. It takes 10 to 20 minutes.
set -euo pipefail

# shellcheck source=prerequisites.sh
source "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"

CYCLONEDX_VERSION=0.5.9
ZIG_VERSION=0.15.2
ZIGBUILD_VERSION=0.24.1

need_cc
need_cargo
want_pip
want_arm

folder="$PWD/.cache/release"
if [[ $(PYTHONPATH="$folder" "$folder/bin/cargo-zigbuild" --version 2>/dev/null) != *"$ZIGBUILD_VERSION"* ]]; then
    say "Fetching Zig $ZIG_VERSION and cargo-zigbuild $ZIGBUILD_VERSION into $folder"
    rm -rf "$folder.making" "$folder"
    mkdir -p "$(dirname "$folder")"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$folder.making" \
        "ziglang==$ZIG_VERSION" "cargo-zigbuild==$ZIGBUILD_VERSION"
    mv "$folder.making" "$folder"
fi

tools="$PWD/target/tools"
if [[ $("$tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null) != *"$CYCLONEDX_VERSION"* ]]; then
    say "Building cargo-cyclonedx $CYCLONEDX_VERSION into target/tools, once."
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        cargo install cargo-cyclonedx --locked --version "$CYCLONEDX_VERSION" --root "$tools"
fi

rustup target add x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
PYTHONPATH="$folder" PATH="$folder/bin:$tools/bin:$PATH" cargo xtask release "$@"
