# make demo [VIDEO=mine.mov]   install what is missing, build, turn a video into mp4 and flv, show what was made
# make test                    install what is missing, check format, lints and docs, run all tests
# make bench                   Millrace against ffmpeg, side by side; then the fold and a hop of the log
# make crash [ROUNDS=20]       kill -9 at random moments, then the same command again

.PHONY: demo test bench crash setup

setup:
	@scripts/setup.sh

demo: setup
	cargo build --release --locked
	@scripts/demo.sh "$(VIDEO)"

test: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
	cargo test --workspace --locked

bench: setup
	cargo bench --locked --bench compare
	cargo bench --locked --bench split
	cargo bench --locked -p millrace-processors --bench fold
	cargo bench --locked -p millrace-runtime --bench hop

crash: setup
	cargo build --release --locked
	ROUNDS=$(or $(ROUNDS),20) cargo test --release --locked --test crash -- --ignored --nocapture
