# For those with an engine. `make image` makes the same image without one.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target x86_64-unknown-linux-gnu

FROM scratch
COPY --from=build /src/target/x86_64-unknown-linux-gnu/release/culprit /culprit
USER 65532:65532
ENTRYPOINT ["/culprit"]
