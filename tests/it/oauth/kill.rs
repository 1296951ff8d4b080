//! Killed with -9 at every call to the disk while tokens are made anew: the file is whole, and the provider takes what is in it.

use super::dovecot::with_dovecot;
use crate::support::injector::{Fault, injector};
use crate::support::oauth_server::{OauthOptions, Rotation};

const CALLS: &str = "fsync,fdatasync,rename,renameat,renameat2,write,openat,ftruncate";

fn options(rotation: Rotation) -> OauthOptions {
    OauthOptions { rotation, ..OauthOptions::default() }
}

/// Where the provider keeps the token before until the new one was used, as Microsoft does, no moment loses a sign-in.
#[test]
fn a_kill_at_any_call_loses_no_sign_in() {
    let Some(injector) = injector() else { return };
    let Some((home, dovecot)) = with_dovecot(options(Rotation::Lenient), "xoauth2") else { return };
    let folder = home.file().parent().unwrap().to_owned();
    let log = home.sandbox.home().join("injected.log");
    let mut killed = 0;
    for nth in 1..60 {
        home.age(4000);
        let fault = Fault { calls: CALLS.to_owned(), nth, what: "kill".to_owned() };
        let command = injector.around(&home.sandbox.command(&["fetch"]), &fault, &folder, &log);
        let output = home.sandbox.run_command(command, b"");
        // Whole, and good.
        let token = home.kept_text("refresh_token");
        assert!(home.provider.takes(&token), "at call {nth}: {output}");
        // The next run goes on from there.
        home.age(4000);
        let next = home.run(&["fetch"]);
        assert_eq!(next.code, 0, "after call {nth}: {next}\n{}", dovecot.log());
        if output.code == 0 {
            break;
        }
        killed += 1;
    }
    assert!(killed >= 8, "only {killed} calls were found");
}

/// Where the one before ends at once, there is a moment in which nobody but the provider has the new one: from its answer until the
/// file is in its place. Before and after it nothing is lost, and what is lost then is said.
#[test]
fn a_strict_provider_has_one_moment_that_costs_the_sign_in_and_it_is_said() {
    let Some(injector) = injector() else { return };
    let Some((home, _dovecot)) = with_dovecot(options(Rotation::Strict), "xoauth2") else { return };
    let folder = home.file().parent().unwrap().to_owned();
    let log = home.sandbox.home().join("injected.log");
    let (mut lost, mut kept) = (0, 0);
    for nth in 1..60 {
        home.age(4000);
        let fault = Fault { calls: CALLS.to_owned(), nth, what: "kill".to_owned() };
        let asked = home.provider.renewals();
        let command = injector.around(&home.sandbox.command(&["fetch"]), &fault, &folder, &log);
        let output = home.sandbox.run_command(command, b"");
        let token = home.kept_text("refresh_token");
        if home.provider.takes(&token) {
            kept += 1;
        } else {
            assert!(home.provider.renewals() > asked, "lost although nobody asked, at call {nth}");
            lost += 1;
            let next = home.run(&["fetch"]);
            assert!(next.code == 77 && next.stderr.contains("mailsluice login work"), "at call {nth}: {next}");
            assert_eq!(home.log_in(&["login", "work"]).code, 0);
        }
        if output.code == 0 {
            break;
        }
    }
    assert!(lost > 0 && kept >= 4, "{lost} lost, {kept} kept");
}

/// Two programs, one of which is killed while it holds the lock.
#[test]
fn a_lock_ends_with_its_holder() {
    let Some((home, dovecot)) = with_dovecot(options(Rotation::Lenient), "xoauth2") else { return };
    home.age(4000);
    let running = home.sandbox.spawn(&["fetch"]);
    while home.provider.renewals() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    running.kill();
    home.age(4000);
    assert_eq!(home.run(&["fetch"]).code, 0, "{}", dovecot.log());
}
