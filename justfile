# Every recipe is one line over a cargo command.

# The whole story on this machine, nothing else installed.
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# Every test; installs and starts what it needs.
test *ARGS:
    cargo test --workspace {{ARGS}}

# Formatting, lints, dependencies.
check:
    cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings && cargo deny check bans licenses sources

# Event in to row read back, killed between any two steps, on SQLite and PostgreSQL.
thread:
    cargo test --test rigs thread -- --nocapture

# N kills under load; one line of figures.
kill N="100":
    QUIETUS_KILLS={{N}} cargo test --test rigs kill -- --nocapture

# N power cuts under load: what was not synced is lost, wholly or in part; one line of figures.
power N="50":
    QUIETUS_CUTS={{N}} cargo test --test rigs power -- --nocapture

# N kills of a node that reads a topic, while its three brokers are killed one by one and all at once.
kafka-kill N="50":
    QUIETUS_KILLS={{N}} cargo test --test rigs brokers -- --nocapture

# N seeds of the simulation; one that breaks a promise says how to run it alone.
sim N="300":
    QUIETUS_SIM_SEEDS={{N}} cargo test --test sim

# A check taken out of the program is noticed: which seed, by which promise.
sabotage:
    cargo test --test sim a_check_taken_out_is_found -- --nocapture

# The same seed twice: the same hash twice.
sim-twice SEED:
    QUIETUS_SIM_SEED={{SEED}} cargo test --test sim twice -- --nocapture

# A database's URL to a plan with numbers: 20 tables, a million rows, nothing edited; one line of figures a database.
onboard:
    cargo test --release --test rigs onboard -- --nocapture --test-threads 1

# One decoder on bytes nobody vouches for; needs a nightly compiler and `cargo install cargo-fuzz`. The folders of fuzz/corpus are the targets.
fuzz TARGET SECONDS="60":
    cargo +nightly fuzz run -s none --fuzz-dir fuzz {{TARGET}} -- -max_total_time={{SECONDS}} -rss_limit_mb=1024 -timeout=10
