//! An access token whenever one is needed: the one that is kept, as long as it is good, and otherwise a new one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::answer::{Asked, Meaning};
use super::app::{Account, SIGNED};
use super::begin::random_word;
use super::request::{Trouble, tokens};
use super::store::{Hidden, Kept, Over, Provider, Store, now};
use super::{client_secret, nobody, store_of};
use crate::config::oauth::{Flow, SignIn};
use crate::config::secret::Password;
use crate::error::{Error, Kind, Result};
use crate::net::http::aside;
use crate::net::remembered;
use crate::stop::{is_stopping, stopped};

/// How many threads are making tokens anew: what a provider gives then is kept, though the program is to stop.
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

/// Waits for those who are making tokens anew, before the program ends: a provider may have given the only token that counts.
pub fn finish(limit: Duration) {
    let until = Instant::now() + limit;
    while AT_WORK.load(Ordering::SeqCst) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Why tokens are made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The access token has ended.
    Ended,
    /// Nobody has used the sign-in for a week.
    Unused,
}

/// What is said to log in, whatever the config has: the password as it is revealed, or an access token. One that a provider has to
/// be asked for is transient where the provider is away, and stays wrong where somebody has to sign in.
pub async fn secret(password: &Password) -> Result<SecretString> {
    match password.sign_in() {
        Some(it) => given(it, Why::Ended).await,
        None => remembered::revealed(password).await,
    }
}

async fn given(it: &SignIn, why: Why) -> Result<SecretString> {
    let store = store_of(it)?;
    let look = {
        let (store, it) = (store.clone(), it.clone());
        move || at_hand(&store, &it, why)
    };
    if let Some(token) = aside("sign-in", look).await?? {
        return Ok(token);
    }
    // It may be asked of a person, so it is not asked for before it is needed.
    let by = By { secret: client_secret(it).await?, account: Account::of(it).await? };
    let it = it.clone();
    aside("sign-in", move || renewed(&store, &it, &by, why)).await?
}

fn at_hand(store: &Store, it: &SignIn, why: Why) -> Result<Option<SecretString>> {
    let again = |e: Error| match e.kind() {
        Kind::Auth => e.helped_by(format!("run `mailsluice login {}`", it.name)),
        _ => e,
    };
    match store.read().map_err(again) {
        Ok(Some(kept)) => taken(&kept, why),
        // What no person gave is asked for at any time.
        Ok(None) | Err(_) if !it.needs_a_person() => Ok(None),
        Ok(None) => Err(nobody(it)),
        Err(e) => Err(e),
    }
}

/// What a provider is shown besides the refresh token.
struct By {
    secret: Option<SecretString>,
    account: Option<Account>,
}

/// The access token that needs no provider; an error where the provider need not be asked again.
fn taken(kept: &Kept, why: Why) -> Result<Option<SecretString>> {
    let now = now();
    if let Some(over) = kept.is_over(now) {
        return Err(Error::permanent(Kind::Auth, over));
    }
    let fresh = kept.fresh(now).filter(|_| why == Why::Ended || !kept.is_unused(now));
    Ok(fresh.map(Hidden::secret))
}

/// Makes tokens anew, unless somebody else did while we waited. It blocks.
fn renewed(store: &Store, it: &SignIn, by: &By, why: Why) -> Result<SecretString> {
    let _lock = store.lock()?;
    let mut kept = match store.read() {
        Ok(Some(kept)) => kept,
        Ok(None) | Err(_) if !it.needs_a_person() => nothing_yet(it)?,
        Ok(None) => return Err(nobody(it)),
        Err(e) => return Err(e),
    };
    if let Some(token) = taken(&kept, why)? {
        return Ok(token);
    }
    if is_stopping() {
        return Err(stopped());
    }
    let _at_work = AtWork::begin();
    store.reserve()?;
    // What a person consented to, or what the config has now.
    let scope = if it.needs_a_person() { kept.scope.clone() } else { it.scope.clone() };
    let refresh_token = kept.refresh_token.clone();
    let signed = by.account.as_ref().map(|account| account.signed(it, now())).transpose()?;
    let mut form = match (&it.flow, &signed) {
        (Flow::App, _) => vec![("grant_type", "client_credentials")],
        (Flow::Key(_), Some(signed)) => vec![("grant_type", SIGNED), ("assertion", signed.as_str())],
        _ => vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.0.as_str())],
    };
    // Microsoft wants the scope again (AADSTS900144); to others it says nothing new. In what is signed it stands already.
    if !scope.is_empty() && signed.is_none() {
        form.push(("scope", &scope));
    }
    match tokens(it, by.secret.as_ref(), form, Asked::Renewal) {
        Ok(came) => {
            kept.renewed = now();
            kept.refresh_token = came.refresh.unwrap_or(kept.refresh_token);
            (kept.expires_in, kept.over) = (came.expires_in, None);
            let token = came.access.secret();
            kept.access_token = Some(came.access);
            store.write(&kept)?;
            Ok(token)
        }
        Err(Trouble::Denied { meaning: Meaning::Over, error, .. }) if it.needs_a_person() => {
            // The refresh token stays: should this be a mistake of the provider, it passes.
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

/// What is kept before the first tokens of a program came.
fn nothing_yet(it: &SignIn) -> Result<Kept> {
    Ok(Kept {
        id: random_word()?,
        user: it.user.clone(),
        name: it.name.clone(),
        provider: Provider::of(it),
        scope: it.scope.clone(),
        signed_in: now(),
        renewed: 0,
        refresh_token: Hidden(Zeroizing::default()),
        access_token: None,
        expires_in: 0,
        over: None,
    })
}

/// The outcome of a login with an access token that was refused: whether another attempt may go better is in the error.
pub async fn looked_at(outcome: Result<()>, password: &Password, said: &SecretString) -> Result<()> {
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

/// Whether a session ended because its access token did: Microsoft says `BYE … AccessTokenExpired`, Google `BYE Session expired`.
/// Then a new session begins at once, with a new token.
pub async fn has_died(password: &Password, error: &Error) -> bool {
    const SAYS: [&str; 3] = ["ACCESSTOKENEXPIRED", "ACCESS TOKEN EXPIRED", "SESSION EXPIRED"];
    let said = error.to_string().to_uppercase();
    let is_that = password.sign_in().is_some() && error.is_transient() && SAYS.iter().any(|words| said.contains(words));
    if is_that {
        another_may_help(password, None).await;
    }
    is_that
}

/// A server is done with this access token, or with the one that is kept. Says whether another one may help: then the next one is
/// made anew. One that was just made is not, so that a mailbox that is closed costs one attempt more, and no more.
async fn another_may_help(password: &Password, refused: Option<&SecretString>) -> bool {
    let Some(store) = password.sign_in().and_then(Store::of) else { return false };
    let refused = refused.cloned();
    let forget = move || -> Result<bool> {
        let _lock = store.lock()?;
        let Some(mut kept) = store.read()? else { return Ok(false) };
        let is_kept = refused.as_ref().is_none_or(|refused| kept.has(refused));
        // Another one has made a new one since.
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

/// Uses each sign-in that nobody has used for a week, so that no provider forgets it. What goes wrong is said when it is needed.
pub async fn keep_alive(sign_ins: &[SignIn]) {
    let mut all: Vec<SignIn> = Vec::new();
    for it in sign_ins {
        if !all.iter().any(|other| other.key() == it.key()) {
            all.push(it.clone());
        }
    }
    // Most are used all the time.
    let is_unused = |it: &SignIn| matches!(standing(it), Standing::SignedIn { is_unused: true });
    let unused = aside("sign-in", move || all.into_iter().filter(is_unused).collect::<Vec<_>>()).await;
    for it in unused.unwrap_or_default() {
        match given(&it, Why::Unused).await {
            Ok(_) => tracing::info!("{}: the sign-in at {} was used once more", it.name, it.title()),
            Err(e) => tracing::info!("{}: {e}", it.name),
        }
    }
}

/// Asks for a token now, where no person is needed: whether it works is seen at once.
pub async fn try_out(it: &SignIn) -> Result<()> {
    given(it, Why::Ended).await.map(drop)
}

/// How a sign-in stands, without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody knows by what the provider would know this program.
    NoClient,
    /// Nobody has signed in.
    Nobody,
    /// Somebody has.
    SignedIn {
        /// Nobody has used it for a week.
        is_unused: bool,
    },
    /// The provider ended it.
    Over {
        /// Why, in words.
        why: String,
        /// When it said so.
        since: Timestamp,
    },
}

/// How a sign-in stands. What cannot be read is said when it is needed.
pub fn standing(it: &SignIn) -> Standing {
    let Some(store) = Store::of(it) else { return Standing::NoClient };
    if !it.needs_a_person() {
        return Standing::SignedIn { is_unused: false };
    }
    match store.read() {
        Ok(Some(Kept { over: Some(over), .. })) => {
            Standing::Over { why: over.why, since: Timestamp::from_second(over.at).unwrap_or_default() }
        }
        Ok(Some(kept)) => Standing::SignedIn { is_unused: kept.is_unused(now()) },
        _ => Standing::Nobody,
    }
}
