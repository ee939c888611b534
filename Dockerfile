# syntax=docker/dockerfile:1
# One small image for every role. Builds for x86-64 and arm64 from either: docker buildx build --platform linux/amd64,linux/arm64 .

FROM --platform=$BUILDPLATFORM rust:1.95-bookworm AS build
ARG TARGETARCH
# SQLite and libopus are C: they are compiled for where the image runs.
RUN case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-gnu gcc=gcc-x86-64-linux-gnu libc=libc6-dev-amd64-cross ;; \
      arm64) target=aarch64-unknown-linux-gnu gcc=gcc-aarch64-linux-gnu libc=libc6-dev-arm64-cross ;; \
      *) echo "there is no image for $TARGETARCH" >&2; exit 1 ;; \
    esac \
 && if [ "$(dpkg --print-architecture)" != "$TARGETARCH" ]; then \
      cross="$gcc $libc"; \
    fi \
 && apt-get update && apt-get install -y --no-install-recommends cmake $cross && rm -rf /var/lib/apt/lists/* \
 && echo "$target" > /target
WORKDIR /source
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY crates crates
COPY data data
COPY xtask xtask
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target,id=target-$TARGETARCH \
    rustup target add "$(cat /target)" \
 && cargo build --locked --profile dist -p soniquebay --target "$(cat /target)" \
 && cp "target/$(cat /target)/dist/soniquebay" /soniquebay \
 && mkdir -p /data/models

# The C library and the root certificates, no shell. Its user has the number 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /soniquebay /usr/local/bin/soniquebay
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENV SONIQUEBAY_DATA=/data SONIQUEBAY_LISTEN=0.0.0.0:8001
VOLUME ["/data"]
EXPOSE 8001 8002 8003 8004
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["/usr/local/bin/soniquebay", "health"]
ENTRYPOINT ["/usr/local/bin/soniquebay"]
CMD ["serve"]
