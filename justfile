# The project's commands. `just` lists them; `.ci/run` and `.ci/deep` run the same ones.

set shell := ["bash", "-euo", "pipefail", "-c"]

# The first release of the oldest Rust that must build the library and the program.
msrv := `sed -n 's/^rust-version = "\(.*\)"$/\1.0/p' Cargo.toml`

# The tests of `just test`: at most a minute after a build.
fast_tests := "--lib --test it"

# The test that compares the committed header with the generated one, and the one for generated documentation.
header_test := "--test it header"
docs_test := "--test it readme"

# A member of the workspace that a plain `cargo build` leaves out, because the SDK comes with it.
otel := "spanspool-opentelemetry"

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")

[private]
default:
    @just --list --unsorted

# Format, lints, documentation, header and dependencies.
check: && deny
    cargo fmt --all --check
    cargo clippy --all-targets --all-features -- -D warnings
    cargo clippy -p {{ otel }} --all-targets --all-features -- -D warnings
    cargo clippy -p {{ otel }} --no-default-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps -p {{ otel }} --all-features
    cargo test {{ header_test }}

# The fast subset of the tests.
test *ARGS:
    cargo test {{ fast_tests }} -- --skip long:: {{ ARGS }}

# All tests. Without CI=true, tests that lack a tool say so and are skipped.
test-all *ARGS:
    cargo test {{ ARGS }}

# The tests that need minutes or another toolchain: C++, Go, Python, OpenTelemetry, an installed library, valgrind.
callers:
    cargo test --test it -- --ignored --skip sanitizers
    cargo test -p {{ otel }} --all-features

# Build with the declared minimum Rust.
msrv:
    rustup run {{ msrv }} cargo --version || rustup toolchain install {{ msrv }} --profile minimal --no-self-update
    cargo +{{ msrv }} check --locked
    cargo +{{ msrv }} check --locked -p {{ otel }} --all-features

# Bans, licences and sources of the dependencies; advisories as well where their database can be fetched.
deny:
    cargo deny check bans licenses sources
    .ci/advisories

# Regenerate include/spanspool.h.
header:
    SPANSPOOL_UPDATE_HEADER=1 cargo test {{ header_test }}

# Regenerate the table of settings in the documentation.
docs:
    SPANSPOOL_UPDATE_DOCS=1 cargo test {{ docs_test }} -- --test-threads=1

# Take the README's picture of the viewer again.
picture:
    SPANSPOOL_UPDATE_PICTURE=1 cargo test --test it the_page_in_a_browser -- --ignored

# Build the release libraries and the program.
build:
    cargo build --release
    for made in libspanspool.so libspanspool.a spanspool; do test -s {{ target }}/release/$made; done

# Run the demo: an outage, kills and a restart, and every item delivered.
demo: build
    {{ target }}/release/spanspool demo

# Build the Python wheel, install it into an environment of its own and import it.
wheel:
    #!/usr/bin/env bash
    set -euo pipefail
    dir={{ target }}/wheel
    rm -rf "$dir"
    python3 -m venv "$dir/venv"
    pip=("$dir/venv/bin/pip" --quiet --disable-pip-version-check)
    "${pip[@]}" wheel --no-deps --wheel-dir "$dir" bindings/python
    "${pip[@]}" install --no-index "$dir"/spanspool-*.whl
    "$dir/venv/bin/python" -c 'import spanspool; print("spanspool", spanspool.__version__, "from", spanspool.__file__)'

# Measure all sections or those named; see benches/README.md.
bench *SECTIONS: build
    cargo run --release --manifest-path benches/Cargo.toml -- {{ SECTIONS }}

# Lint and test the benches, which nothing else builds.
bench-check:
    cargo fmt --manifest-path benches/Cargo.toml --check
    cargo clippy --manifest-path benches/Cargo.toml --all-targets -- -D warnings
    cargo test --manifest-path benches/Cargo.toml

# Let a fleet of simulated clients come back after an outage; see fleet/README.md. `just fleet check`: next to real ones.
[positional-arguments]
fleet *SCENARIOS:
    cargo run --release --manifest-path fleet/Cargo.toml -- "$@"

# Lint and test the fleet, which nothing else builds.
fleet-check:
    cargo fmt --manifest-path fleet/Cargo.toml --check
    cargo clippy --manifest-path fleet/Cargo.toml --all-targets -- -D warnings
    cargo test --release --manifest-path fleet/Cargo.toml

# Fuzz one target (a file in fuzz/fuzz_targets) for some seconds.
fuzz TARGET SECONDS="60":
    fuzz/run {{ TARGET }} {{ SECONDS }}

# Fuzz every target for some seconds.
fuzz-all SECONDS="10":
    for target in fuzz/fuzz_targets/*.rs; do fuzz/run "$(basename "$target" .rs)" {{ SECONDS }}; done

# Run the journal under loom. LOOM_MAX_PREEMPTIONS=4 tries more orders.
models:
    RUSTFLAGS="--cfg loom" cargo test --lib --target-dir {{ target }}/loom models

# Run the tests of the C ABI, of forks and of exits under AddressSanitizer and ThreadSanitizer.
sanitizers:
    cargo test --test it sanitizers -- --ignored

# Try wrong versions of the code (tests/mutants), all or those named: each must fail the test that it names.
mutants *NAMES:
    tests/mutants/run {{ NAMES }}

# Send to a real OpenTelemetry Collector, which is built from 1.7 GB of Go modules.
collector:
    SPANSPOOL_COLLECTOR=1 cargo test --test it otlp::long:: -- --ignored --nocapture

# What takes too long for every change.
deep: bench-check fleet-check models fuzz-all sanitizers mutants collector
