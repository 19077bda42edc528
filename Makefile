# make demo [VIDEO=mine.mov]            install what is missing, build, turn a video into mp4 and flv, show what was made
# make test                             install what is missing, check format, lints, docs and dependencies, run all tests
# make deny                             check dependencies: licences, bans, sources, and advisories where their database can be had
# make simulate [SEEDS=500] [FIRST=7]   everything that can go wrong, by seed; a failing seed is shrunk and told
# make faults                           plant faults on purpose, and show after how many seeds each is found
# make bench                            Millrace against ffmpeg, side by side; then the fold, the codec and the log
# make servers                          Kafka, a schema registry and an S3 store in the foreground, to try Millrace on a cluster
# make deb                              a package for this Debian in target/debian: the program, a service and its settings
# make crash [ROUNDS=20]                kill -9 at random moments, then the same command again
# make kills                            processes whose sources, work and outputs are in a bucket are killed at 50 moments
# make burst                            500 notifications, one in five twice and out of order
# make mutants [FIRST=1] [COUNT=5000]   broken files, by seed: each must end in a clear verdict
# make security [FIRST=1] [COUNT=2000]  files of few bytes that ask for much, by seed, beside good uploads to a service
# make differential [FIRST=1] [COUNT=2000]   files of every codec and container that lie, by seed: in short segments, in any batches, as in one
# make fuzz [SECONDS=60] [TARGET=frame] [SEED=1]   mutated bytes for each parser, by seed; INPUT=file parses one again
# make lengths [FIRST=1] [COUNT=10000]       sound of all lengths around packet boundaries, by seed
# make profiles [FIRST=1] [COUNT=500]        random profiles over sources of twenty kinds, by seed: refused with a reason, or right
# make players                          packages in Chromium, by hls.js and dash.js, in real time: each seek, each rung; wants an idle machine
# make chaos [SECONDS=180]              three processes and a broker that are killed, stopped and restarted under load

.PHONY: demo test players simulate faults bench crash chaos kills burst mutants security differential lengths profiles fuzz deny deb release setup test-setup servers

setup:
	@scripts/setup.sh

test-setup:
	@scripts/setup.sh tests
	@scripts/servers.sh

servers: test-setup
	cargo build --release --locked
	@cargo run --quiet --release --locked -p millrace-servers -- target/release/millrace

demo: setup
	cargo build --release --locked
	@scripts/demo.sh "$(VIDEO)"

test: test-setup
	cargo fmt --all --check
	PYTHONPYCACHEPREFIX=target/pycache python3 -m py_compile examples/*.py tests/clients/*.py
	$(MAKE) --no-print-directory deny
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
	cargo test --workspace --locked
	$(MAKE) --no-print-directory simulate SEEDS=20000
	$(MAKE) --no-print-directory faults

deny:
	@scripts/deny.sh

deb: setup
	@scripts/deb.sh

# target/release/millrace, and apart from it its symbols (four times as large), which debuggers find by themselves.
RELEASE = target/release/millrace
release: setup
	cargo build --release --locked
	objcopy --only-keep-debug $(RELEASE) $(RELEASE).debug
	objcopy --strip-all --add-gnu-debuglink=$(RELEASE).debug $(RELEASE) $(RELEASE).small
	mv $(RELEASE).small $(RELEASE)

# Neither of these needs anything but Rust and a C compiler. Both are one build, in which faults can be planted: `simulate` plants none.
SIMULATION = cargo run --quiet --release --locked -p millrace-simulation --features faults --
simulate:
	@$(SIMULATION) --seeds $(or $(SEEDS),500) --first $(or $(FIRST),1)

faults:
	@$(SIMULATION) --faults --seeds $(or $(SEEDS),1000)

fuzz: setup
	@cargo run --quiet --profile fuzzing --locked -p millrace-fuzz -- --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1) \
		$(if $(TARGET),--target $(TARGET)) $(if $(INPUT),--input $(INPUT))

bench: test-setup
	cargo bench --locked --bench compare
	cargo bench --locked --bench split
	cargo bench --locked -p millrace-processors --bench fold
	cargo bench --locked -p millrace-schemas --bench codec
	cargo bench --locked -p millrace-runtime
	cargo bench --locked --bench cluster
	cargo bench --locked --bench scale
	cargo bench --locked --bench stores
	cargo bench --locked --bench exactness

crash: setup
	cargo build --release --locked
	ROUNDS=$(or $(ROUNDS),20) cargo test --release --locked --test end_to_end crash:: -- --ignored --nocapture --test-threads 1

players: test-setup
	@scripts/player.sh
	cargo test --locked --test end_to_end player:: -- --ignored --nocapture --test-threads 1
	cargo test --locked -p millrace-packages --test judged -- --ignored --nocapture --test-threads 1

chaos: test-setup
	cargo build --release --locked
	SECONDS_OF_TROUBLE=$(or $(SECONDS),180) cargo test --release --locked --test end_to_end chaos:: -- --ignored --nocapture

kills: test-setup
	cargo build --release --locked
	cargo test --release --locked --test end_to_end stores::what_is_killed_at_50 -- --ignored --nocapture

burst: test-setup
	cargo build --release --locked
	cargo test --release --locked --test end_to_end stores::of_500 -- --ignored --nocapture

differential: setup
	cargo build --release --locked
	FIRST=$(or $(FIRST),1) COUNT=$(or $(COUNT),2000) cargo test --release --locked --test end_to_end differential::short_segments_of_thousands -- --ignored --nocapture

lengths: setup
	cargo build --release --locked
	FIRST=$(or $(FIRST),1) COUNT=$(or $(COUNT),10000) cargo test --release --locked --test end_to_end lengths:: -- --ignored --nocapture

profiles: setup
	cargo build --release --locked
	FIRST=$(or $(FIRST),1) COUNT=$(or $(COUNT),500) cargo test --release --locked --test end_to_end random_profiles::hundreds -- --ignored --nocapture
	cargo test --release --locked --test end_to_end key_ends::each_key_of_each_codec -- --ignored --nocapture

security: setup
	cargo build --release --locked
	FIRST=$(or $(FIRST),1) COUNT=$(or $(COUNT),2000) cargo test --release --locked --test end_to_end security:: -- --ignored --nocapture

mutants: setup
	cargo build --release --locked
	FIRST=$(or $(FIRST),1) COUNT=$(or $(COUNT),5000) cargo test --release --locked --test end_to_end mutants::thousands -- --ignored --nocapture
