//! Access tokens are made anew as they are needed, and nothing but the provider's own word ends a sign-in.

use mailsluice::config::Config;
use mailsluice::error::Error;
use mailsluice::net::oauth;
use secrecy::ExposeSecret;

use super::{Home, NOWHERE};
use crate::stage::run;
use crate::support::oauth_server::{Fault, OauthOptions, Rotation};

pub fn config(home: &Home) -> Config {
    Config::load(&home.sandbox.home().join(".config/mailsluice/config.yaml")).unwrap().0
}

/// What the account would log in with.
pub fn token(home: &Home) -> Result<String, Error> {
    // The state folder is that of the home, and not of whoever runs the tests.
    let mut config = config(home);
    let state = home.sandbox.home().join(".local/state/mailsluice/sign-ins");
    let mailsluice::config::secret::Password::SignIn(it) = &mut config.accounts[0].password else {
        panic!("no sign-in")
    };
    it.folder = state;
    run(oauth::secret(&config.accounts[0].password)).map(|token| token.expose_secret().to_owned())
}

fn home(options: OauthOptions) -> Home {
    Home::new(options, NOWHERE).signed_in()
}

#[test]
fn a_token_that_is_good_needs_no_provider() {
    let home = home(OauthOptions::default());
    home.age(3200);
    assert_eq!(token(&home).unwrap(), home.kept_text("access_token"));
    assert_eq!(home.provider.renewals(), 0);
}

#[test]
fn it_is_made_anew_five_minutes_before_it_ends_and_the_scope_is_said_again() {
    let home = home(OauthOptions::default());
    let before = home.kept_text("access_token");
    home.age(3310);
    assert_ne!(token(&home).unwrap(), before);
    let asked = home.provider.asked().pop().unwrap();
    assert_eq!(asked["scope"], "mail offline_access");
    assert!(!asked.contains_key("client_secret") && asked["client_id"] == "the-app", "{asked:?}");
    assert_eq!(token(&home).unwrap(), home.kept_text("access_token"), "the new one is kept");
    assert_eq!(home.provider.renewals(), 1);
}

#[test]
fn a_life_that_is_not_said_is_an_hour() {
    let home = home(OauthOptions { expires_in: None, ..OauthOptions::default() });
    assert_eq!(home.kept()["expires_in"], 3600);
}

#[test]
fn a_token_from_the_future_is_made_anew() {
    let home = home(OauthOptions::default());
    home.age(-10_000);
    token(&home).unwrap();
    assert_eq!(home.provider.renewals(), 1);
}

#[test]
fn the_refresh_token_is_the_newest_or_the_one_before() {
    for rotation in [Rotation::Keep, Rotation::Lenient, Rotation::Strict] {
        let home = home(OauthOptions { rotation, ..OauthOptions::default() });
        let first = home.kept_text("refresh_token");
        for _ in 0..3 {
            home.age(4000);
            token(&home).unwrap();
        }
        let last = home.kept_text("refresh_token");
        assert_eq!(first == last, rotation == Rotation::Keep, "{rotation:?}");
        assert!(home.provider.takes(&last), "{rotation:?}");
        assert_eq!(home.provider.renewals(), 3);
    }
}

/// Each outage, as often as it comes.
#[test]
fn no_outage_ends_a_sign_in() {
    let home = home(OauthOptions::default());
    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(429),
        Fault::Status(403),
        Fault::Status(302),
        Fault::Status(404),
        Fault::Flood,
        Fault::Page,
        Fault::Silence,
        Fault::Cut,
    ] {
        let before = home.kept_text("refresh_token");
        home.age(4000);
        for _ in 0..3 {
            home.provider.fail(fault);
            let error = token(&home).unwrap_err();
            assert!(error.is_transient(), "{fault:?}: {error}");
            assert_eq!(home.kept_text("refresh_token"), before, "{fault:?}");
        }
        token(&home).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
}

/// Nobody is waited for without end.
#[test]
fn a_provider_that_says_nothing_ends_no_sign_in() {
    let home = home(OauthOptions::default());
    home.age(4000);
    home.provider.fail(Fault::Hang);
    let error = token(&home).unwrap_err();
    assert!(error.is_transient(), "{error}");
    token(&home).unwrap();
}

#[test]
fn a_token_that_is_still_good_is_used_while_the_provider_is_away() {
    let home = home(OauthOptions::default());
    home.age(3400);
    home.provider.fail_always(Some(Fault::Status(503)));
    assert_eq!(token(&home).unwrap(), home.kept_text("access_token"));
    home.age(300);
    assert!(token(&home).unwrap_err().is_transient());
}

#[test]
fn what_the_provider_ends_is_over_and_asked_about_once_an_hour() {
    let home = home(OauthOptions::default());
    home.age(4000);
    home.provider.fail(Fault::Denied("google-revoked"));
    let first = token(&home).unwrap_err();
    assert!(!first.is_transient() && first.exit_code() == 77, "{first}");
    let again = token(&home).unwrap_err();
    assert_eq!(again.to_string(), first.to_string());
    assert_eq!(home.provider.renewals(), 1, "it is not asked again");
    // Should it have been a mistake of the provider, it passes.
    home.age_the_end(3601);
    token(&home).unwrap();
    assert!(home.kept()["over"].is_null());
}

/// As many processes as there are: `deliver`, `sendmail`, `fetch` and `run` share one sign-in.
#[test]
fn one_asks_and_the_others_have_what_it_got() {
    let home = home(OauthOptions { rotation: Rotation::Strict, ..OauthOptions::default() });
    home.age(4000);
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| token(&home).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(home.provider.renewals(), 1);
    assert!(home.provider.takes(&home.kept_text("refresh_token")));
}

/// Nobody needs it, and providers forget what nobody uses.
#[test]
fn what_was_not_used_for_a_week_is_used_though_the_account_is_paused() {
    let home = home(OauthOptions::default());
    assert_eq!(home.run(&["pause", "work"]).code, 0);
    home.run(&["fetch"]);
    assert_eq!(home.provider.renewals(), 0);
    home.age(7 * 24 * 3600 + 1);
    home.run(&["fetch"]);
    home.run(&["fetch"]);
    assert_eq!(home.provider.renewals(), 1);
}

/// Where it is found to be over then, `status` says so, though nobody looks at the account.
#[test]
fn a_sign_in_that_is_over_shows_though_the_account_is_paused() {
    let home = home(OauthOptions::default());
    assert_eq!(home.run(&["pause", "work"]).code, 0);
    home.age(8 * 24 * 3600);
    home.provider.fail(Fault::Denied("ms-unused"));
    home.run(&["fetch"]);
    for arguments in [&["status"][..], &["status", "--json"], &["check"]] {
        let output = home.run(arguments);
        assert!(output.stdout.contains("the sign-in is too old"), "{arguments:?} {output}");
    }
    assert_eq!(home.run(&["status"]).code, 77);
}

/// The provider is not even asked for what could not be kept.
#[test]
fn a_disk_that_takes_nothing_costs_no_token() {
    let home = home(OauthOptions { rotation: Rotation::Strict, ..OauthOptions::default() });
    home.age(4000);
    let aside = home.file().with_extension("new");
    std::fs::remove_file(&aside).ok();
    std::fs::create_dir(&aside).unwrap();
    let error = token(&home).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(home.provider.renewals(), 0);
    std::fs::remove_dir(&aside).unwrap();
    token(&home).unwrap();
}

#[test]
fn a_file_that_is_damaged_says_what_helps_and_nothing_of_what_is_in_it() {
    let home = home(OauthOptions::default());
    let whole = std::fs::read_to_string(home.file()).unwrap();
    std::fs::write(home.file(), &whole[..whole.len() / 2]).unwrap();
    let error = token(&home).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("mailsluice login work"), "{error}");
    assert!(!error.contains("REFRESH-"), "{error}");
    assert_eq!(home.log_in(&["login", "work"]).code, 0);
    token(&home).unwrap();
}

#[test]
fn nobody_has_signed_in_is_said_with_what_helps() {
    let home = Home::new(OauthOptions::default(), NOWHERE);
    home.run(&["status"]);
    let error = token(&home).unwrap_err();
    assert!(error.to_string().contains("run `mailsluice login work`"), "{error}");
    assert_eq!(error.exit_code(), 77);
    let checked = home.run(&["check"]);
    assert!(checked.code == 0 && checked.stdout.contains("mailsluice login work"), "{checked}");
}
