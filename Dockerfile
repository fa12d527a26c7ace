# syntax=docker/dockerfile:1
# A static binary on an image with nothing else: no shell, no package manager, not root.
#   docker build -t squall .
#   docker run --rm -v "$PWD/squall.yaml:/etc/squall.yaml:ro" -e SQUALL_CONFIG=/etc/squall.yaml squall
# From a binary that is already there (`integration/build` puts it into dist/), which needs neither a compiler nor a network:
#   buildah bud --format docker --target prebuilt -t squall .
#
# `base` is in every image, and what the image of one binary says is a stage upon it, so that an image says the same whoever built
# its binary. Another binary gets a stage like `squall`, and two upon that one, like `prebuilt` and the last. Stages that need nothing
# from elsewhere come first: engines that do not skip what a target does not need build whatever stands before it.

FROM scratch AS base
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY LICENSE /LICENSE
# The places to write to, where the root is not read-only: a volume on one of them begins as that user's.
COPY --chown=65532:65532 deploy/image/writable /tmp
COPY --chown=65532:65532 deploy/image/writable /var/lib/squall
# A number, so that Kubernetes can see that it is not root; no file here gives it a name.
USER 65532:65532
STOPSIGNAL SIGTERM

FROM base AS squall
LABEL org.opencontainers.image.title="Squall" \
      org.opencontainers.image.description="A fault-injecting service-mesh sidecar proxy"
# The listener of `--upstream` and telemetry. Not the control API: `docker run -P` would give it to the network.
EXPOSE 8080 9471
# Asks where SQUALL_TELEMETRY, SQUALL_CONTROL or the file of SQUALL_CONFIG says. OCI images have no health check: `--format docker`.
HEALTHCHECK --interval=5s --timeout=2s --start-period=2s CMD ["/squall", "healthcheck"]
ENTRYPOINT ["/squall"]
CMD ["run"]

FROM squall AS prebuilt
COPY dist/squall /squall

FROM rust:1.95-alpine AS build
# The allocator has a part in C.
RUN apk add --no-cache gcc musl-dev make
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p squall && cp target/release/squall /squall

# For init containers of pods: `squall net-init` has nft put the redirect in force.
#   docker build --target net-init -t squall-net-init .
FROM alpine:3.22 AS net-init
RUN apk add --no-cache nftables
COPY --from=build /squall /squall
COPY LICENSE /LICENSE
ENTRYPOINT ["/squall"]
CMD ["net-init"]

# What Squall is in a cluster besides its sidecars: the webhooks and the controller.
#   docker build --target operator -t squall-kubernetes .
FROM build AS operator-build
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p squall-kubernetes && cp target/release/squall-kubernetes /squall-kubernetes

FROM base AS operator
LABEL org.opencontainers.image.title="Squall for Kubernetes" \
      org.opencontainers.image.description="Gives pods their Squall sidecar, and orders faults and experiments"
EXPOSE 9443 9472
COPY --from=operator-build /squall-kubernetes /squall-kubernetes
ENTRYPOINT ["/squall-kubernetes"]
CMD ["run"]

FROM squall
COPY --from=build /squall /squall
