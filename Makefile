# make test    install what the tests need and run every test
# make crash   the long form of the crash tests: every pair of crash points, hundreds of kills, every fault of the disk
# make world   half an hour of worlds from seeds; MAILSLUICE_WORLD=SECONDS and MAILSLUICE_WORLD_FROM=SEED set others
# make soak    forty minutes of `run` behind lines that break; MAILSLUICE_SOAK=SECONDS sets another time
# make fuzz    ten minutes of random changes for each reader of what others write; MAILSLUICE_FUZZ=SECONDS sets another time
# make mutants takes one safeguard away at a time and lets the world find it
# make audit   licences, bans, advisories and sources of the dependencies (needs cargo-deny)

.PHONY: test crash world soak fuzz mutants audit deps

# Permissions, the refusal to run as root and Dovecot's set-up behave as a user meets them only for an ordinary
# user, so a test run that root started goes on as `nobody` with a home of its own. What only root can do comes after.
test: deps
	@tests/run cargo test --locked
	@[ "$$(id -u)" != 0 ] || cargo test --quiet --locked --test it -- a_real_postfix as_root

crash: deps
	@MAILSLUICE_CRASH=all tests/run cargo test --release --locked --test it -- crash:: kill:: injected::

world: deps
	@MAILSLUICE_WORLD=$${MAILSLUICE_WORLD:-1800} tests/run cargo test --locked --test world -- --nocapture no_mail_is_lost

soak: deps
	@MAILSLUICE_SOAK=$${MAILSLUICE_SOAK:-2400} tests/run cargo test --release --locked --test soak -- --nocapture months_in_minutes

fuzz:
	@MAILSLUICE_FUZZ=$${MAILSLUICE_FUZZ:-600} cargo test --release --locked --lib -- --nocapture fuzz

mutants: deps
	@tests/mutants

deps:
	@tests/install

audit:
	cargo deny --locked check
