//! How to get a client id, provider by provider: what was so in November 2026.

use crate::config::oauth::SignIn;

const GOOGLE: &str = "\
For Gmail an app password is the quicker way: switch 2-step verification on, make one at https://myaccount.google.com/apppasswords
and write it as `password`. It works for IMAP, POP3 and SMTP.

For a sign-in (November 2026):
 1. Make a project at https://console.cloud.google.com/projectcreate.
 2. Under \"Google Auth Platform\" fill in the consent screen: audience \"External\", your own address as contact.
 3. Publish it: the state is to be \"In production\". In \"Testing\" each sign-in ends after 7 days. It need not be verified for
    yourself: Google warns of an unverified app, which is your own.
 4. Make a client of the type \"Desktop app\".
 5. Write both fields that it shows:";

const MICROSOFT: &str = "\
A client id of Microsoft comes from an organisation or an Azure account; a personal account alone can register none
(November 2026):
 1. At https://entra.microsoft.com open \"App registrations\" and \"New registration\".
 2. Choose who may sign in: \"any organizational directory and personal Microsoft accounts\" for `tenant: common`, else name the
    tenant in the config.
 3. Add the platform \"Mobile and desktop applications\" with the redirect http://localhost.
 4. Under \"Authentication\" switch \"Allow public client flows\" on. No secret is made: a public client has none.
 5. Under \"API permissions\" add IMAP.AccessAsUser.All, POP.AccessAsUser.All, SMTP.Send and offline_access.
    In many organisations an administrator has to consent.
 6. Write the \"Application (client) ID\":";

const YAHOO: &str = "\
An app password is the quicker way, where Yahoo gives you one: https://login.yahoo.com/account/security.

Yahoo gives the scope for mail to clients that it has looked at, and to no new ones for some time (November 2026):
 1. Ask at https://senders.yahooinc.com/developer/developer-access-mail-form.
 2. Register the redirect https://127.0.0.1.
 3. Write what you get:";

const FASTMAIL: &str = "\
An app password is the quicker way: Settings, Privacy & Security, Manage app passwords.

Fastmail registers clients by hand (November 2026):
 1. Ask its support for a client with the protocols IMAP, POP and SMTP and the redirect http://127.0.0.1.
 2. Write what you get:";

const YANDEX: &str = "\
An app password is the quicker way: https://id.yandex.com/security/app-passwords.

For a sign-in (November 2026; Yandex has none for POP3):
 1. Register an app at https://oauth.yandex.com/client/new, with the platform \"Web services\" and the redirect
    https://oauth.yandex.com/verification_code.
 2. Give it the permissions mail:imap_full and mail:smtp.
 3. Write both fields that it shows:";

const OTHER: &str =
    "Register this program at the provider as a public client with the redirect http://127.0.0.1, and write:";

/// What to do where no client id is known.
pub(super) fn recipe(it: &SignIn) -> String {
    let name = it.provider.map_or("", |provider| provider.name);
    let text = match name {
        "google" => GOOGLE,
        "microsoft" => MICROSOFT,
        "yahoo" => YAHOO,
        "fastmail" => FASTMAIL,
        "yandex" => YANDEX,
        _ => OTHER,
    };
    let secret = if matches!(name, "google" | "yandex") { ", client_secret: SECRET" } else { "" };
    let provider = if name.is_empty() { "…".to_owned() } else { format!("provider: {name}") };
    format!(
        "No client id for {} is known yet, by which it would know mailsluice; none is shipped with the program.\n\n{text}\n\n    \
         oauth2: {{{provider}, client_id: ID{secret}}}\n\nThen run `mailsluice login {}` once more.",
        it.title(),
        it.name
    )
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::providers::PROVIDERS;

    /// What a recipe tells one to write is a config without a fault.
    #[test]
    fn what_a_recipe_tells_to_write_is_right() {
        for provider in PROVIDERS {
            let with = |oauth2: &str| {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("config.yaml");
                let text = format!(
                    "maildir: Mail\nstate: state\naccounts:\n  a:\n    imap: imap.example.com\n    user: me@example.com\n    oauth2: {oauth2}\n"
                );
                std::fs::write(&path, text).unwrap();
                let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(&path, private).unwrap();
                Config::load(&path).unwrap()
            };
            let (config, warnings) = with(provider.name);
            assert_eq!(warnings.len(), 1, "no client id: {warnings:?}");
            let recipe = super::recipe(config.accounts[0].password.sign_in().unwrap());
            assert!(recipe.contains("November 2026") && recipe.contains("mailsluice login a"), "{recipe}");
            let told = recipe.lines().find_map(|line| line.trim().strip_prefix("oauth2: ")).unwrap();
            assert!(with(told).1.is_empty(), "{told}");
        }
    }
}
