# The image of kitmirror: one binary, the C library it is linked against, root certificates. No shell, no OpenSSL.
#
#   docker build -t kitmirror .
#   docker run --rm kitmirror --help
#
# Both stages are the same release of Debian, so that the binary meets the C library it was linked against. It is
# glibc, on which the tests run; with musl the allocator and the resolver of names would be others.

FROM rust:1.95-slim-trixie AS build
WORKDIR /src

# The dependencies alone, behind a program that does nothing: compiled again only when the lock file changes. A layer
# does this and no cache mount, because every builder has layers, and none serves what another checkout compiled.
COPY Cargo.toml Cargo.lock build.rs ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked

# Cargo goes by the age of files: ours must be newer than what stood in for them.
COPY askama.toml ./
COPY migrations migrations
COPY src src
RUN touch build.rs src/main.rs src/lib.rs \
    && cargo build --release --locked

# A named volume that is empty takes the owner of the folder it is laid over.
RUN install -d -o 65532 -g 65532 /data


FROM gcr.io/distroless/base-nossl-debian13:nonroot
LABEL org.opencontainers.image.title="kitmirror" \
      org.opencontainers.image.description="A faithful, fresh, queryable copy of a Kit (ConvertKit) account in a SQL database you control" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/kitmirror/
# All that the binary needs beyond the C library; the base image that has it has much more.
COPY --from=build /usr/lib/*-linux-gnu/libgcc_s.so.1 /usr/lib/
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build /src/target/release/kitmirror /usr/local/bin/kitmirror

# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532

# The only place that is written to, and only when the mirror is a SQLite file: `sqlite://kitmirror.db`, the default,
# is here. The root may be read-only.
WORKDIR /data
# Making an index takes temporary files, which may be larger than what /tmp is given.
ENV SQLITE_TMPDIR=/data

# Inside a container, loopback is nobody's: set KITMIRROR_LISTEN=0.0.0.0:9420 where the status server is to be reached.
EXPOSE 9420

# Healthy is a mirror that is complete and fresh. The first load of a large account takes longer than half an hour: a
# container is not healthy until it is done, and works all the same.
HEALTHCHECK --interval=60s --timeout=15s --start-period=30m --retries=3 \
    CMD ["/usr/local/bin/kitmirror", "--quiet", "status"]

ENTRYPOINT ["/usr/local/bin/kitmirror"]
CMD ["run"]
