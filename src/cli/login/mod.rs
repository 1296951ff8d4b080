//! `login` and `logout`: a person signs in once at a provider, and what comes of it is kept.

mod browser;
mod recipes;

use std::path::Path;

use serde_json::json;

use clap_complete::ArgValueCompleter;

use super::help::complete;
use super::output::Output;
use super::setup;
use crate::clean;
use crate::config::Config;
use crate::config::oauth::SignIn;
use crate::daemon::order::{Order, give};
use crate::error::{Error, Kind, Result};
use crate::net::oauth::{self, DeviceCode};
use crate::pass::{self, World};

/// EX_CONFIG.
const LACKS_CLIENT: u8 = 78;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The account or relay of the config that has `oauth2`
    #[arg(add = ArgValueCompleter::new(complete::sign_ins))]
    name: String,
    /// Open no port: paste the address on which the browser ended, of any machine
    #[arg(long, conflicts_with = "device")]
    paste: bool,
    /// Type a code on another device, where the provider does that for mail
    #[arg(long)]
    device: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments, output: &Output) -> Result<u8> {
    let config = load(config, output)?;
    let it = find(&config, &arguments.name)?;
    if !it.needs_a_person() {
        setup::block_on(oauth::try_out(it))?;
        output.data(format_args!(
            "{} gives tokens for {}; nobody has to sign in",
            it.title(),
            clean::short(&it.user, 80)
        ));
        return Ok(0);
    }
    if it.client.is_none() {
        output.data(recipes::recipe(it));
        return Ok(LACKS_CLIENT);
    }
    // The state is made here, where it is not yet: tokens are kept in it.
    let world = World::open(&config)?;
    let by_paste = arguments.paste || oauth::loopback_port(&it.redirect).is_none();
    setup::block_on(async {
        match arguments.device {
            true => by_device(it, output).await,
            false => browser::sign_in(it, by_paste, output).await,
        }
    })?;
    let shared = shared(&config, it);
    match output.json {
        true => output.json(json!({"signed_in": it.title(), "user": it.user, "for": shared})),
        false => output.data(format_args!(
            "signed in at {} as {}, for {}",
            it.title(),
            clean::short(&it.user, 80),
            shared.join(", ")
        )),
    }
    if let Err(error) = go_on(&world, &config, &shared) {
        // Signed in he is; what waited is tried in its time.
        output.warn(format_args!("what waited for it could not be told: {error}"));
    }
    Ok(0)
}

/// Forgets the sign-in of an account or relay, and the earlier ones that were made under its name and that nothing uses any more.
pub(super) fn forget(config: &Path, name: &str, output: &Output) -> Result<u8> {
    let config = load(config, output)?;
    let mut earlier = oauth::unused(&config)?;
    earlier.retain(|it| it.name == name);
    let mut code = match find(&config, name) {
        Ok(it) => forget_current(&config, it, output)?,
        Err(error) if earlier.is_empty() => return Err(error),
        Err(_) => 0,
    };
    for it in earlier {
        let place = format!("{} as {}", it.title, clean::short(&it.user, 80));
        let title = it.title.clone();
        let trouble = setup::block_on(oauth::forget_unused(it))?;
        say_forgotten(&format!("signed out at {place}, which the config no longer uses"), output);
        if let Some(error) = trouble {
            code = say_unrevoked(&title, &error, output);
        }
    }
    Ok(code)
}

fn forget_current(config: &Config, it: &SignIn, output: &Output) -> Result<u8> {
    let (was_there, trouble) = setup::block_on(oauth::forget(it))?;
    let place = format!("{} as {}", it.title(), clean::short(&it.user, 80));
    let said = match was_there {
        true => format!("signed out at {place}, for {}", shared(config, it).join(", ")),
        false => format!("nobody was signed in at {place}"),
    };
    say_forgotten(&said, output);
    match trouble {
        Some(error) => Ok(say_unrevoked(it.title(), &error, output)),
        None if was_there && it.endpoints.revoke.is_none() => {
            output.talk(format_args!(
                "this machine has forgotten it; {} has no address to revoke it, so remove mailsluice on its account pages",
                it.title()
            ));
            Ok(0)
        }
        None => Ok(0),
    }
}

fn say_forgotten(text: &str, output: &Output) {
    match output.json {
        true => output.json(json!({"signed_out": text})),
        false => output.data(text),
    }
}

fn say_unrevoked(title: &str, error: &Error, output: &Output) -> u8 {
    output.warn(format_args!(
        "this machine has forgotten the sign-in, but {title} could not be asked to revoke it: {error}"
    ));
    error.exit_code()
}

/// The rules play no part here: they may be broken.
fn load(path: &Path, output: &Output) -> Result<Config> {
    Config::load(path).map(|(config, _)| config).map_err(|problems| {
        output.problems(&problems, false);
        Error::permanent(Kind::Config, "the config cannot be used")
    })
}

fn find<'c>(config: &'c Config, name: &str) -> Result<&'c SignIn> {
    let accounts = config.accounts.iter().map(|account| (account.name.as_str(), Some(&account.password)));
    let relays = config.relays.iter().map(|relay| (relay.name.as_str(), relay.secret()));
    let named: Vec<_> = accounts.chain(relays).filter(|(known, _)| *known == name).collect();
    if let Some(it) = named.iter().find_map(|(_, password)| password.and_then(|password| password.sign_in())) {
        return Ok(it);
    }
    let shown = clean::short(name, 60);
    Err(match named.is_empty() {
        true => {
            let known: Vec<&str> = config.sign_ins().map(|it| it.name.as_str()).collect();
            let with = if known.is_empty() {
                "none has `oauth2`".to_owned()
            } else {
                format!("with `oauth2` there are {}", known.join(", "))
            };
            Error::permanent(Kind::Usage, format!("there is no account or relay `{shown}` in the config; {with}"))
        }
        false => Error::permanent(Kind::Usage, format!("`{shown}` has no `oauth2` in the config"))
            .helped_by("write `oauth2: google`, or another provider, in the place of its `password`"),
    })
}

/// The accounts and relays that log in with the tokens of this sign-in.
fn shared(config: &Config, it: &SignIn) -> Vec<String> {
    let mut names: Vec<String> =
        config.sign_ins().filter(|other| other.key() == it.key()).map(|it| it.name.clone()).collect();
    names.dedup();
    names
}

/// What waited for somebody to sign in goes on.
fn go_on(world: &World, config: &Config, names: &[String]) -> Result<()> {
    let is_named = |name: &str| names.contains(&clean::short(name, 80));
    let accounts: Vec<_> = config.accounts.iter().filter(|account| is_named(&account.name)).collect();
    accounts.iter().try_for_each(|account| pass::begin_anew(world, account))?;
    if config.relays.iter().any(|relay| is_named(&relay.name)) {
        world.store.hurry(&[], world.now())?;
    }
    let accounts: Vec<String> = accounts.iter().map(|account| account.name.clone()).collect();
    if !accounts.is_empty() {
        // One that runs with an older config does not know them yet, and reads it anyway.
        if let Some(answers) = give(&config.state, Order::Poll { accounts })? {
            answers.for_each(drop);
        }
    }
    Ok(())
}

async fn by_device(it: &SignIn, output: &Output) -> Result<()> {
    let output = *output;
    let show = move |entry: &DeviceCode| match output.json {
        true => output.json(json!({"page": entry.page, "code": entry.code})),
        false => output.data(format_args!("open {} on any device and type the code {}", entry.page, entry.code)),
    };
    oauth::device(it, show).await
}
