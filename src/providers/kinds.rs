//! The types of the table's fields.

/// A mail protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailProtocol {
    /// RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 6409.
    Smtp,
}

impl MailProtocol {
    /// All three, in the order of display.
    pub const ALL: [Self; 3] = [Self::Imap, Self::Pop3, Self::Smtp];

    /// Its key in the config.
    pub fn key(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Smtp => "smtp",
        }
    }

    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Smtp => "SMTP",
        }
    }
}

/// How a connection is protected. The table has no unprotected servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// STARTTLS or STLS.
    StartTls,
}

impl Security {
    /// Its word in the config.
    pub fn word(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::StartTls => "starttls",
        }
    }

    /// The default port (RFC 8314, RFC 6409).
    pub fn port(self, mail: MailProtocol) -> u16 {
        match (self, mail) {
            (Self::Implicit, MailProtocol::Imap) => 993,
            (Self::Implicit, MailProtocol::Pop3) => 995,
            (Self::Implicit, MailProtocol::Smtp) => 465,
            (Self::StartTls, MailProtocol::Imap) => 143,
            (Self::StartTls, MailProtocol::Pop3) => 110,
            (Self::StartTls, MailProtocol::Smtp) => 587,
        }
    }
}

/// How reliable the data about a server are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// The provider, or a widely used program, says so.
    Verified,
    /// From memory. A connection must succeed before it is believed, and before any password is sent there.
    Unverified,
}

/// A server of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderServer {
    /// Its name.
    pub host: &'static str,
    /// The TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// How well it is known.
    pub known: Confidence,
}

/// Implicit TLS on port 993.
pub(super) const fn imaps(host: &'static str) -> Option<ProviderServer> {
    at(host, 993, Security::Implicit)
}

/// Implicit TLS on port 995.
pub(super) const fn pop3s(host: &'static str) -> Option<ProviderServer> {
    at(host, 995, Security::Implicit)
}

/// Implicit TLS on port 465.
pub(super) const fn submissions(host: &'static str) -> Option<ProviderServer> {
    at(host, 465, Security::Implicit)
}

/// STARTTLS on port 587.
pub(super) const fn submission(host: &'static str) -> Option<ProviderServer> {
    at(host, 587, Security::StartTls)
}

/// The same server, marked as not verified.
pub(super) const fn unverified(place: Option<ProviderServer>) -> Option<ProviderServer> {
    match place {
        Some(place) => Some(ProviderServer { known: Confidence::Unverified, ..place }),
        None => None,
    }
}

const fn at(host: &'static str, port: u16, security: Security) -> Option<ProviderServer> {
    Some(ProviderServer { host, port, security, known: Confidence::Verified })
}

/// The form of a login name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginForm {
    /// The whole address.
    Address,
    /// The part before the `@`.
    LocalPart,
}

impl LoginForm {
    /// The login name for an address.
    pub fn of(self, address: &str) -> String {
        match self {
            Self::Address => address.to_owned(),
            Self::LocalPart => address.rsplit_once('@').map_or(address, |(local, _)| local).to_owned(),
        }
    }
}

/// The login names of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginNames {
    /// Over IMAP and POP3.
    pub fetch: LoginForm,
    /// Over SMTP.
    pub send: LoginForm,
}

impl LoginNames {
    /// The address for all protocols.
    pub(super) const ADDRESS: Self = Self { fetch: LoginForm::Address, send: LoginForm::Address };
    /// The part before the `@` for all protocols.
    pub(super) const LOCAL_PART: Self = Self { fetch: LoginForm::LocalPart, send: LoginForm::LocalPart };

    /// The form for this protocol.
    pub fn form(self, mail: MailProtocol) -> LoginForm {
        match mail {
            MailProtocol::Imap | MailProtocol::Pop3 => self.fetch,
            MailProtocol::Smtp => self.send,
        }
    }
}

/// The kind of secret that a provider requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// The password of the mailbox.
    Password,
    /// A password that is created for one program, which requires 2-step verification.
    AppPassword,
    /// The password of the mailbox, or one that is created for the program if two-factor login is on.
    AppPasswordWithTwoFactor,
    /// A password for mail programs, which is set separately from the one for the web page.
    MailPassword,
    /// A password for programs if "secure login" is on, otherwise the password of the mailbox.
    ClientPassword,
    /// An authorisation code (授权码).
    Code,
    /// No password at all.
    OAuth2,
    /// The password that a program on the user's own machine displays.
    Bridge,
}

/// A provider's limits, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Simultaneous connections to one mailbox, from all devices.
    pub connections: Option<u16>,
    /// Megabytes that may be fetched in a day.
    pub megabytes_a_day: Option<u32>,
    /// How many messages of a folder are visible. They are the newest.
    pub newest: Option<u32>,
}

impl ProviderLimits {
    /// No limit is known.
    pub(super) const NONE: Self = Self { connections: None, megabytes_a_day: None, newest: None };
}

/// The text of a refusal, and the advice.
#[derive(Clone, Copy, Debug)]
pub struct RefusalText {
    /// Words in upper case, one of which must occur.
    pub words: &'static [&'static str],
    /// The complete advice.
    pub helps: &'static str,
    /// Whether the advice also helps with a temporary refusal.
    pub helps_when_busy: bool,
}

/// Since when a provider accepts no passwords. The texts are whole sentences without a full stop.
#[derive(Clone, Copy, Debug)]
pub struct PasswordsEnd {
    /// About IMAP and POP3, where passwords no longer work at all.
    pub fetching: &'static str,
    /// About SMTP, where they still work for some.
    pub sending: &'static str,
}

/// How a provider's servers differ from others. Most quirks are handled by the server's replies, or by doing what works
/// everywhere; this list documents where they occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Dead connections still count for a while.
    DeadConnectionsCount,
    /// POP3 lists a message only once, even if it was not deleted.
    PoppedOnce,
    /// AUTH=PLAIN is offered, but no password is accepted.
    OffersPlainInVain,
    /// IDLE goes silent after about ten minutes.
    QuietIdle,
    /// IDLE is ended after about twelve minutes.
    IdleForTwelveMinutes,
    /// POP3 accepts XOAUTH2 only without an initial response.
    TokenInTwoSteps,
    /// Older mail is on another server.
    OldMailElsewhere,
    /// Only BODY.PEEK[] returns a message; RFC822 returns nothing.
    PeekAlone,
    /// No folder can be opened before ID (RFC 2971) was sent.
    WantsId,
    /// SASL-IR is offered, but answered with BAD.
    InitialResponseIsBad,
    /// Many logins within a short time lock the mailbox.
    LoginsLock,
    /// POP3 may be polled only every fifteen minutes.
    PopEveryQuarterOfAnHour,
    /// The host depends on the region of the account.
    RegionOfAccount,
    /// Paid accounts with their own domain use servers with other names.
    PaidServers,
    /// TLS 1.3 is not supported.
    OldTls,
}

impl Quirk {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::DeadConnectionsCount,
        Self::PoppedOnce,
        Self::OffersPlainInVain,
        Self::QuietIdle,
        Self::IdleForTwelveMinutes,
        Self::TokenInTwoSteps,
        Self::OldMailElsewhere,
        Self::PeekAlone,
        Self::WantsId,
        Self::InitialResponseIsBad,
        Self::LoginsLock,
        Self::PopEveryQuarterOfAnHour,
        Self::RegionOfAccount,
        Self::PaidServers,
        Self::OldTls,
    ];

    /// The quirk in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::DeadConnectionsCount => "dead connections still count for a while",
            Self::PoppedOnce => "POP3 lists a message only once, even if it was not deleted",
            Self::OffersPlainInVain => "offers AUTH=PLAIN but accepts no password",
            Self::QuietIdle => "IDLE goes silent after about ten minutes",
            Self::IdleForTwelveMinutes => "ends IDLE after about twelve minutes",
            Self::TokenInTwoSteps => "POP3 accepts a token only in two steps",
            Self::OldMailElsewhere => "older mail is at export.imap.mail.yahoo.com (IMAP)",
            Self::PeekAlone => "sends messages only for BODY.PEEK[]",
            Self::WantsId => "requires ID after the login",
            Self::InitialResponseIsBad => "offers SASL-IR but answers it with BAD",
            Self::LoginsLock => "many logins within a short time lock the mailbox",
            Self::PopEveryQuarterOfAnHour => "POP3 may be polled only every fifteen minutes (`poll: 15m`)",
            Self::RegionOfAccount => "the host depends on the region of the account",
            Self::PaidServers => "paid accounts with their own domain use imappro and smtppro instead of imap and smtp",
            Self::OldTls => "supports at most TLS 1.2",
        }
    }
}
