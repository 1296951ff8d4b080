//! OAuth2 (RFC 6749): a person signs in at a provider once, and access tokens are obtained from that sign-in.
//!
//! | file | what |
//! |---|---|
//! | `answer` | tokens and refusals, and what the user is told about them |
//! | `request` | one request to a provider |
//! | `store` | where tokens are saved: durable, private, changed by one process at a time |
//! | `renew` | an access token whenever one is needed |
//! | `begin` | signing in with a browser: PKCE (RFC 7636), `state`, `iss` (RFC 9207) |
//! | `listener` | where the browser returns to (RFC 8252 7.3) |
//! | `app` | tokens without a person, for organisations |
//! | `device` | signing in with another device (RFC 8628) |
//! | `unused` | sign-ins that the config no longer uses |
//!
//! Only `invalid_grant` ends a sign-in. An unreachable, busy or broken provider, a full disk, or a mail server that refuses a
//! login never does. A refresh token is durable before the access token that came with it is used.

mod answer;
mod app;
mod begin;
mod device;
mod listener;
mod renew;
mod request;
mod store;
mod unused;

pub use begin::{BrowserReturn, Lasts, SignInRequest, loopback_port, redirect_at};
pub use device::{DeviceCode, device};
pub use listener::{CallbackPage, Listener, SIGN_IN_TIMEOUT};
pub use renew::{SignInStanding, after_login, finish, has_died, keep_alive, secret, standing, try_out};
pub use unused::{Unused, forget_unused, unused};

use secrecy::{ExposeSecret, SecretString};

use self::answer::{Denied, Tokens};
use self::store::{KeptSignIn, SignInFile, now};
use crate::config::oauth::SignIn;
use crate::error::{Error, Kind, Result};
use crate::net::remembered;

/// The error for tokens that do not exist because nobody has signed in.
fn not_signed_in(it: &SignIn) -> Error {
    let user = crate::clean::short(&it.user, 80);
    Error::permanent(Kind::Auth, format!("nobody has signed in at {} as {user} yet", it.title()))
        .helped_by(format!("run `mailsluice login {}`", it.name))
}

/// The file with the tokens of a sign-in. Without a client id there is none.
fn store_of(it: &SignIn) -> Result<SignInFile> {
    SignInFile::of(it).ok_or_else(|| {
        Error::permanent(Kind::Auth, format!("no client id for {} is known", it.title()))
            .helped_by(format!("`mailsluice login {}` says how to get one", it.name))
    })
}

/// The client secret, if there is one.
async fn client_secret(it: &SignIn) -> Result<Option<SecretString>> {
    match it.client.as_ref().and_then(|client| client.secret.as_ref()) {
        Some(secret) => remembered::revealed(secret).await.map(Some).map_err(|e| e.while_doing("the client secret")),
        None => Ok(None),
    }
}

/// Saves the first tokens of a sign-in in place of older ones. Without a refresh token nothing is saved.
fn keep(it: &SignIn, tokens: Tokens) -> Result<()> {
    let Some(refresh_token) = tokens.refresh else {
        let text = format!("{} gave no refresh token, so the sign-in would end within the hour", it.title());
        return Err(Error::permanent(Kind::Refused, text)
            .helped_by("check `scope`: many providers need `offline_access` in it"));
    };
    let store = store_of(it)?;
    let _lock = store.lock()?;
    let now = now();
    store.write(&KeptSignIn {
        id: begin::random_word()?,
        user: it.user.clone(),
        name: it.name.clone(),
        provider: store::KeptProvider::of(it),
        scope: it.scope.clone(),
        signed_in: now,
        renewed: now,
        refresh_token,
        access_token: Some(tokens.access),
        expires_in: tokens.expires_in,
        over: None,
    })
}

/// Forgets a sign-in, and revokes it at the provider, if it has an address for that (RFC 7009). The first part of the result says
/// whether there was a sign-in, the second why the provider could not be asked.
pub async fn forget(it: &SignIn) -> Result<(bool, Option<Error>)> {
    // A locked keyring does not prevent signing out on this machine.
    let secret = client_secret(it).await;
    let store = store_of(it)?;
    let provider = store::KeptProvider::of(it);
    crate::net::http::aside("sign-in", move || forget_blocking(&store, &provider, secret)).await?
}

fn forget_blocking(
    store: &SignInFile,
    provider: &store::KeptProvider,
    secret: Result<Option<SecretString>>,
) -> Result<(bool, Option<Error>)> {
    let _lock = store.lock()?;
    // A damaged file is forgotten too.
    let kept = store.read();
    store.remove()?;
    let Ok(Some(kept)) = kept else { return Ok((kept.is_err(), None)) };
    let token = kept.refresh_token.0;
    match &provider.revoke {
        Some(address) if !token.is_empty() => Ok((true, revoke(provider, address, &token, secret).err())),
        _ => Ok((true, None)),
    }
}

fn revoke(
    provider: &store::KeptProvider,
    address: &str,
    token: &str,
    secret: Result<Option<SecretString>>,
) -> Result<()> {
    let mut form = vec![("token", token)];
    let secret = secret?;
    // Google takes the token alone, and refuses a question with more in it.
    if !address.starts_with("https://oauth2.googleapis.com/") {
        form.push(("token_type_hint", "refresh_token"));
        form.extend((!provider.client_id.is_empty()).then_some(("client_id", provider.client_id.as_str())));
        form.extend(secret.as_ref().map(|secret| ("client_secret", secret.expose_secret())));
    }
    let answer = request::post(address, &form)?;
    // If the provider does not know the token any more, it is revoked already.
    let is_unknown = || Denied::read(&answer.body).is_some_and(|denied| denied.error == "invalid_token");
    match answer.status {
        200..=299 => Ok(()),
        400 if is_unknown() => Ok(()),
        status => Err(Error::transient(Kind::Refused, format!("{} answered {status}", provider.title))),
    }
}
