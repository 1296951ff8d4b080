//! An access token whenever one is needed: the saved one while it is valid, and otherwise a new one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::answer::{GrantMeaning, GrantRequest};
use super::app::{SIGNED, ServiceAccount};
use super::begin::random_word;
use super::request::{TokenTrouble, tokens};
use super::store::{HiddenText, KeptProvider, KeptSignIn, Over, SignInFile, now};
use super::{client_secret, not_signed_in, store_of};
use crate::config::oauth::{Flow, SignIn};
use crate::config::secret::Password;
use crate::error::{Error, Kind, Result};
use crate::net::http::aside;
use crate::net::remembered;
use crate::stop::{is_stopping, stopped};

/// How many threads are renewing tokens. Their result is saved even when the program is about to stop.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

struct AtWork(());

impl AtWork {
    fn begin() -> Self {
        AT_WORK.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits for running renewals before the program ends: a provider may have just issued the only valid refresh token.
pub fn finish(limit: Duration) {
    let until = Instant::now() + limit;
    while AT_WORK.load(Ordering::SeqCst) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Why tokens are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RenewalCause {
    /// The access token has expired.
    Ended,
    /// The sign-in was not used for a week.
    Unused,
}

/// The secret to log in with: the password, or an access token. If the provider of a token cannot be reached, the error is
/// transient; if somebody has to sign in again, it is permanent.
pub async fn secret(password: &Password) -> Result<SecretString> {
    match password.sign_in() {
        Some(it) => access_token_for(it, RenewalCause::Ended).await,
        None => remembered::revealed(password).await,
    }
}

async fn access_token_for(it: &SignIn, why: RenewalCause) -> Result<SecretString> {
    let store = store_of(it)?;
    let read = {
        let (store, it) = (store.clone(), it.clone());
        move || read_saved(&store, &it, why)
    };
    if let Some(token) = aside("sign-in", read).await?? {
        return Ok(token);
    }
    // It may have to be asked of a person, so it is not asked for before it is needed.
    let by = By { secret: client_secret(it).await?, account: ServiceAccount::of(it).await? };
    let it = it.clone();
    aside("sign-in", move || renew_blocking(&store, &it, &by, why)).await?
}

fn read_saved(store: &SignInFile, it: &SignIn, why: RenewalCause) -> Result<Option<SecretString>> {
    let with_advice = |e: Error| match e.kind() {
        Kind::Auth => e.helped_by(format!("run `mailsluice login {}`", it.name)),
        _ => e,
    };
    match store.read().map_err(with_advice) {
        Ok(Some(kept)) => saved_token(&kept, why),
        // A token that needs no person can be requested at any time.
        Ok(None) | Err(_) if !it.needs_a_person() => Ok(None),
        Ok(None) => Err(not_signed_in(it)),
        Err(e) => Err(e),
    }
}

/// What proves to a provider who we are, besides the refresh token.
struct By {
    secret: Option<SecretString>,
    account: Option<ServiceAccount>,
}

/// The saved access token, if it is still valid; an error if the sign-in has ended and the provider need not be asked again.
fn saved_token(kept: &KeptSignIn, why: RenewalCause) -> Result<Option<SecretString>> {
    let now = now();
    if let Some(over) = kept.is_over(now) {
        return Err(Error::permanent(Kind::Auth, over));
    }
    let fresh = kept.fresh(now).filter(|_| why == RenewalCause::Ended || !kept.is_unused(now));
    Ok(fresh.map(HiddenText::secret))
}

/// Renews the tokens, unless another process did while we waited for the lock. Blocks.
fn renew_blocking(store: &SignInFile, it: &SignIn, by: &By, why: RenewalCause) -> Result<SecretString> {
    let _lock = store.lock()?;
    let mut kept = match store.read() {
        Ok(Some(kept)) => kept,
        Ok(None) | Err(_) if !it.needs_a_person() => empty_record(it)?,
        Ok(None) => return Err(not_signed_in(it)),
        Err(e) => return Err(e),
    };
    if let Some(token) = saved_token(&kept, why)? {
        return Ok(token);
    }
    if is_stopping() {
        return Err(stopped());
    }
    let _at_work = AtWork::begin();
    store.reserve()?;
    // The scope that the person consented to; without a person, the one in the config.
    let scope = if it.needs_a_person() { kept.scope.clone() } else { it.scope.clone() };
    let refresh_token = kept.refresh_token.clone();
    let signed = by.account.as_ref().map(|account| account.signed(it, now())).transpose()?;
    let mut form = match (&it.flow, &signed) {
        (Flow::App, _) => vec![("grant_type", "client_credentials")],
        (Flow::Key(_), Some(signed)) => vec![("grant_type", SIGNED), ("assertion", signed.as_str())],
        _ => vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.0.as_str())],
    };
    // Microsoft wants the scope again (AADSTS900144); others do not mind. A signed assertion already contains it.
    if !scope.is_empty() && signed.is_none() {
        form.push(("scope", &scope));
    }
    match tokens(it, by.secret.as_ref(), form, GrantRequest::Renewal) {
        Ok(came) => {
            kept.renewed = now();
            kept.refresh_token = came.refresh.unwrap_or(kept.refresh_token);
            (kept.expires_in, kept.over) = (came.expires_in, None);
            let token = came.access.secret();
            kept.access_token = Some(came.access);
            store.write(&kept)?;
            Ok(token)
        }
        Err(TokenTrouble::Denied { meaning: GrantMeaning::Over, error, .. }) if it.needs_a_person() => {
            // The refresh token stays: if this is a mistake of the provider, it may work again.
            kept.access_token = None;
            kept.over = Some(Over { at: now(), why: error.to_string() });
            store.write(&kept)?;
            Err(error)
        }
        Err(trouble) => {
            let error = trouble.into_error();
            match kept.still_good(now()) {
                Some(token) if error.is_transient() => Ok(token.secret()),
                _ => Err(error),
            }
        }
    }
}

/// The record before the first tokens of a sign-in without a person.
fn empty_record(it: &SignIn) -> Result<KeptSignIn> {
    Ok(KeptSignIn {
        id: random_word()?,
        user: it.user.clone(),
        name: it.name.clone(),
        provider: KeptProvider::of(it),
        scope: it.scope.clone(),
        signed_in: now(),
        renewed: 0,
        refresh_token: HiddenText(Zeroizing::default()),
        access_token: None,
        expires_in: 0,
        over: None,
    })
}

/// Reviews the outcome of a login: if it was refused, the returned error says whether another attempt may succeed.
pub async fn after_login(outcome: Result<()>, password: &Password, said: &SecretString) -> Result<()> {
    match outcome {
        Err(error) if matches!(error.kind(), Kind::Auth | Kind::Login) && !error.is_transient() => {
            let goes_again = match password.sign_in() {
                Some(_) => another_may_help(password, Some(said)).await,
                None => remembered::another_may_help(password, said).await,
            };
            Err(error.put_right(goes_again))
        }
        Ok(()) => {
            remembered::worked(password, said).await;
            Ok(())
        }
        outcome => outcome,
    }
}

/// Whether a session ended because its access token expired: Microsoft says `BYE … AccessTokenExpired`, Google
/// `BYE Session expired`. A new session with a new token can begin at once.
pub async fn has_died(password: &Password, error: &Error) -> bool {
    const EXPIRY_WORDS: [&str; 3] = ["ACCESSTOKENEXPIRED", "ACCESS TOKEN EXPIRED", "SESSION EXPIRED"];
    let said = error.to_string().to_uppercase();
    let has_expired =
        password.sign_in().is_some() && error.is_transient() && EXPIRY_WORDS.iter().any(|words| said.contains(words));
    if has_expired {
        another_may_help(password, None).await;
    }
    has_expired
}

/// Called when a server refused this access token, or the saved one. Returns whether another one may help, and forgets the saved
/// one then, so that the next is requested anew. A token that was just issued stays: a closed mailbox costs only one more attempt.
async fn another_may_help(password: &Password, refused: Option<&SecretString>) -> bool {
    let Some(store) = password.sign_in().and_then(SignInFile::of) else { return false };
    let refused = refused.cloned();
    let forget = move || -> Result<bool> {
        let _lock = store.lock()?;
        let Some(mut kept) = store.read()? else { return Ok(false) };
        let is_kept = refused.as_ref().is_none_or(|refused| kept.has(refused));
        // Another process has renewed the tokens since.
        if !is_kept {
            return Ok(true);
        }
        if kept.is_young(now()) {
            return Ok(false);
        }
        kept.access_token = None;
        store.write(&kept)?;
        Ok(true)
    };
    aside("sign-in", forget).await.and_then(|done| done).unwrap_or_else(|e| {
        tracing::info!("{e}");
        false
    })
}

/// Uses each sign-in that was not used for a week, so that no provider lets it expire. Errors are only logged: they are reported
/// when a token is needed.
pub async fn keep_alive(sign_ins: &[SignIn]) {
    let mut all: Vec<SignIn> = Vec::new();
    for it in sign_ins {
        if !all.iter().any(|other| other.key() == it.key()) {
            all.push(it.clone());
        }
    }
    // Most sign-ins are in constant use.
    let is_unused = |it: &SignIn| matches!(standing(it), SignInStanding::SignedIn { is_unused: true });
    let unused = aside("sign-in", move || all.into_iter().filter(is_unused).collect::<Vec<_>>()).await;
    for it in unused.unwrap_or_default() {
        match access_token_for(&it, RenewalCause::Unused).await {
            Ok(_) => tracing::info!("{}: the sign-in at {} was used once more", it.name, it.title()),
            Err(e) => tracing::info!("{}: {e}", it.name),
        }
    }
}

/// Requests a token now, for a sign-in that needs no person, to see at once whether it works.
pub async fn try_out(it: &SignIn) -> Result<()> {
    access_token_for(it, RenewalCause::Ended).await.map(drop)
}

/// The state of a sign-in, without asking the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInStanding {
    /// No client id is known, so the provider would not accept this program.
    NoClient,
    /// Nobody has signed in.
    Nobody,
    /// Somebody has.
    SignedIn {
        /// It was not used for a week.
        is_unused: bool,
    },
    /// The provider ended it.
    Over {
        /// The provider's reason, in words.
        why: String,
        /// When it said so.
        since: Timestamp,
    },
}

/// The state of a sign-in. A file that cannot be read counts as no sign-in here; the error is reported when a token is needed.
pub fn standing(it: &SignIn) -> SignInStanding {
    let Some(store) = SignInFile::of(it) else { return SignInStanding::NoClient };
    if !it.needs_a_person() {
        return SignInStanding::SignedIn { is_unused: false };
    }
    match store.read() {
        Ok(Some(KeptSignIn { over: Some(over), .. })) => {
            SignInStanding::Over { why: over.why, since: Timestamp::from_second(over.at).unwrap_or_default() }
        }
        Ok(Some(kept)) => SignInStanding::SignedIn { is_unused: kept.is_unused(now()) },
        _ => SignInStanding::Nobody,
    }
}
