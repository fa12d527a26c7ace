# syntax=docker/dockerfile:1
# A static binary on an image with nothing else: no shell, no package manager, not root.
#   docker build -t squall .
#   docker run --rm -v "$PWD/squall.yaml:/etc/squall/squall.yaml:ro" squall run -c /etc/squall/squall.yaml

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

FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="Squall" \
      org.opencontainers.image.description="A fault-injecting service-mesh sidecar proxy" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /squall /squall
COPY LICENSE /LICENSE
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=2s --start-period=2s CMD ["/squall", "healthcheck"]
ENTRYPOINT ["/squall"]
CMD ["run"]
