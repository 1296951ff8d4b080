# make test    install what the tests need and run every test
# make crash   the long form of the crash tests: every pair of crash points, hundreds of kills
# make audit   licences, bans, advisories and sources of the dependencies (needs cargo-deny)

.PHONY: test crash audit deps

# Permissions, the refusal to run as root and Dovecot's set-up behave as a user meets them only for an ordinary
# user, so a test run that root started goes on as `nobody` with a home of its own. What only root can do comes after.
test: deps
	@tests/run cargo test --locked
	@[ "$$(id -u)" != 0 ] || cargo test --quiet --locked --test it -- a_real_postfix

crash: deps
	@MAILSLUICE_CRASH=all tests/run cargo test --release --locked --test it -- crash:: kill::

deps:
	@tests/install

audit:
	cargo deny --locked check
