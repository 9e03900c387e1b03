# One small image for each binary: `docker build --target order-api -t order-api:0.1.0 .`
# Each has at most 40 MB compressed, as it is pulled from a registry.
#
# Targets: order-api, delivery-worker, dlq-monitor, local-sqs, fleet-check. All share one build
# stage, so that the second target costs seconds. Any builder will do: no mounts, no syntax line.

FROM rust:1.95-bookworm AS build
WORKDIR /src

# Symbols are a fifth of a binary; a panic's message has its file and line without them.
ENV CARGO_TERM_COLOR=never \
    CARGO_INCREMENTAL=0 \
    CARGO_PROFILE_RELEASE_STRIP=symbols

# The dependencies, in a layer of their own that only a manifest or the lock file makes anew: every
# crate of the workspace is there by its manifest, with empty sources.
COPY Cargo.toml Cargo.lock ./
COPY bench/Cargo.toml bench/
COPY crates/fleet-check/Cargo.toml crates/fleet-check/
COPY crates/local-fleet/Cargo.toml crates/local-fleet/
COPY crates/local-postgres/Cargo.toml crates/local-postgres/
COPY crates/local-sqs/Cargo.toml crates/local-sqs/
COPY crates/order-events/Cargo.toml crates/order-events/
COPY crates/order-store/Cargo.toml crates/order-store/
COPY crates/service-kit/Cargo.toml crates/service-kit/
COPY crates/sqs-consumer/Cargo.toml crates/sqs-consumer/
COPY delivery-worker/Cargo.toml delivery-worker/
COPY dlq-monitor/Cargo.toml dlq-monitor/
COPY order-api/Cargo.toml order-api/
RUN set -eu; \
    for crate in bench crates/* delivery-worker dlq-monitor order-api; do \
      mkdir "$crate/src"; \
      : > "$crate/src/lib.rs"; \
      echo 'fn main() {}' > "$crate/src/main.rs"; \
    done; \
    mkdir crates/sqs-consumer/benches; \
    echo 'fn main() {}' > crates/sqs-consumer/benches/scheduler.rs; \
    cargo build --release --locked --bins \
      -p order-api -p delivery-worker -p dlq-monitor -p local-sqs -p fleet-check; \
    rm -rf */src crates/*/src crates/sqs-consumer/benches

COPY . .
# Cargo goes by times, and the sources may be older than what was built of the empty ones.
RUN set -eu; \
    find . -path ./target -prune -o -name '*.rs' -exec touch {} +; \
    cargo build --release --locked --bins \
      -p order-api -p delivery-worker -p dlq-monitor -p local-sqs -p fleet-check; \
    mkdir /out; \
    cd target/release; \
    mv order-api delivery-worker dlq-monitor local-sqs fleet-check /out/

# No shell, no package manager; certificate authorities and time zones are in it. The root can be
# read-only: nothing is written but what a setting names.
FROM gcr.io/distroless/cc-debian12:nonroot AS run
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
# By number: Kubernetes cannot tell from a name that it is not root's.
USER 65532:65532

FROM run AS local-sqs
LABEL org.opencontainers.image.title="local-sqs" \
      org.opencontainers.image.description="An SQS for development and tests. Not durable."
COPY --from=build /out/local-sqs /usr/local/bin/local-sqs
# Its own default is this machine's loopback, which nobody outside the container reaches.
ENV LOCAL_SQS_ADDR=0.0.0.0:9324
EXPOSE 9324
ENTRYPOINT ["/usr/local/bin/local-sqs"]

FROM run AS fleet-check
LABEL org.opencontainers.image.title="fleet-check" \
      org.opencontainers.image.description="Checks a running fleet from the outside: orders, dead letters, redrive."
COPY --from=build /out/fleet-check /usr/local/bin/fleet-check
ENTRYPOINT ["/usr/local/bin/fleet-check"]

FROM run AS dlq-monitor
LABEL org.opencontainers.image.title="dlq-monitor" \
      org.opencontainers.image.description="Watches the order queues and their dead letters."
COPY --from=build /out/dlq-monitor /usr/local/bin/dlq-monitor
EXPOSE 8082 9082
ENTRYPOINT ["/usr/local/bin/dlq-monitor"]

FROM run AS delivery-worker
LABEL org.opencontainers.image.title="delivery-worker" \
      org.opencontainers.image.description="Consumes orders from SQS and delivers them."
COPY --from=build /out/delivery-worker /usr/local/bin/delivery-worker
EXPOSE 8081 9081
ENTRYPOINT ["/usr/local/bin/delivery-worker"]

FROM run AS order-api
LABEL org.opencontainers.image.title="order-api" \
      org.opencontainers.image.description="Takes orders over HTTP and publishes them to SQS."
COPY --from=build /out/order-api /usr/local/bin/order-api
EXPOSE 8080 9080
ENTRYPOINT ["/usr/local/bin/order-api"]
