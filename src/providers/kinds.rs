//! What a row of the table is made of.

/// A protocol in which a mailbox is reached, or mail is handed over.
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
    /// All three, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Imap, Self::Pop3, Self::Smtp];

    /// Its key in the config.
    pub fn key(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Smtp => "smtp",
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Smtp => "SMTP",
        }
    }
}

/// How a connection is protected. Nothing without protection is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// STARTTLS or STLS.
    StartTls,
}

impl Security {
    /// The word in the config.
    pub fn word(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::StartTls => "starttls",
        }
    }

    /// The port that is meant when none is written (RFC 8314, RFC 6409).
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

/// How well a server is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// The provider or a program that many use says so.
    Verified,
    /// Somebody remembers it so. It is connected to before it is believed, and no password goes there before that.
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

/// TLS from the first byte at 993.
pub(super) const fn imaps(host: &'static str) -> Option<ProviderServer> {
    at(host, 993, Security::Implicit)
}

/// TLS from the first byte at 995.
pub(super) const fn pop3s(host: &'static str) -> Option<ProviderServer> {
    at(host, 995, Security::Implicit)
}

/// TLS from the first byte at 465.
pub(super) const fn submissions(host: &'static str) -> Option<ProviderServer> {
    at(host, 465, Security::Implicit)
}

/// STARTTLS at 587.
pub(super) const fn submission(host: &'static str) -> Option<ProviderServer> {
    at(host, 587, Security::StartTls)
}

/// The same server, of which nobody has made sure.
pub(super) const fn unverified(place: Option<ProviderServer>) -> Option<ProviderServer> {
    match place {
        Some(place) => Some(ProviderServer { known: Confidence::Unverified, ..place }),
        None => None,
    }
}

const fn at(host: &'static str, port: u16, security: Security) -> Option<ProviderServer> {
    Some(ProviderServer { host, port, security, known: Confidence::Verified })
}

/// What a login name is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginForm {
    /// The whole address.
    Address,
    /// What stands before the `@`.
    LocalPart,
}

impl LoginForm {
    /// The login name that belongs to an address.
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
    /// The address everywhere.
    pub(super) const ADDRESS: Self = Self { fetch: LoginForm::Address, send: LoginForm::Address };
    /// What stands before the `@` everywhere.
    pub(super) const LOCAL_PART: Self = Self { fetch: LoginForm::LocalPart, send: LoginForm::LocalPart };

    /// For this kind of mail.
    pub fn form(self, mail: MailProtocol) -> LoginForm {
        match mail {
            MailProtocol::Imap | MailProtocol::Pop3 => self.fetch,
            MailProtocol::Smtp => self.send,
        }
    }
}

/// Which secret a provider wants of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// The one of the mailbox.
    Password,
    /// One that is made for the program, where 2-step verification is on.
    AppPassword,
    /// That of the mailbox, and one made for the program where two-factor login is on.
    AppPasswordWithTwoFactor,
    /// One for programs, set apart from that of the web page.
    MailPassword,
    /// One for programs where "secure login" is on, else that of the mailbox.
    ClientPassword,
    /// An authorisation code (授权码).
    Code,
    /// No password at all.
    OAuth2,
    /// What a program on the user's own machine shows.
    Bridge,
}

/// How much a provider allows, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Connections at the same time to one mailbox, from everywhere.
    pub connections: Option<u16>,
    /// Megabytes that may be fetched a day.
    pub megabytes_a_day: Option<u32>,
    /// Only so many messages of a folder are shown, the newest.
    pub newest: Option<u32>,
}

impl ProviderLimits {
    /// Nothing is known.
    pub(super) const NONE: Self = Self { connections: None, megabytes_a_day: None, newest: None };
}

/// What a refusal says, and what helps.
#[derive(Clone, Copy, Debug)]
pub struct RefusalText {
    /// In upper case. One of them is enough.
    pub words: &'static [&'static str],
    /// The whole advice.
    pub helps: &'static str,
    /// Whether it helps although the refusal may pass by itself.
    pub helps_when_busy: bool,
}

/// Since when a provider takes no passwords. The words are whole sentences without their full stop.
#[derive(Clone, Copy, Debug)]
pub struct PasswordsEnd {
    /// Over IMAP and POP3, where they are gone for good.
    pub fetching: &'static str,
    /// Over SMTP, where they still work for some.
    pub sending: &'static str,
}

/// In what the servers of a provider differ from others. Most are handled by looking at what the server says, or by doing what works
/// everywhere; here stands where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Connections that died count for a while, too.
    DeadConnectionsCount,
    /// A message that was popped once is not listed again, deleted or not.
    PoppedOnce,
    /// AUTH=PLAIN is offered, and no password is taken.
    OffersPlainInVain,
    /// IDLE goes silent after ten minutes or so.
    QuietIdle,
    /// IDLE is cut after twelve minutes or so.
    IdleForTwelveMinutes,
    /// POP3 takes XOAUTH2 only in two steps.
    TokenInTwoSteps,
    /// Older mail than the newest is on another server.
    OldMailElsewhere,
    /// Only BODY.PEEK[] gives a message; RFC822 gives nothing.
    PeekAlone,
    /// Nothing can be selected before ID (RFC 2971) was sent.
    WantsId,
    /// SASL-IR is offered and answered with BAD.
    InitialResponseIsBad,
    /// Many logins within a short time lock the mailbox.
    LoginsLock,
    /// POP3 may be asked every fifteen minutes.
    PopEveryQuarterOfAnHour,
    /// The host depends on the region of the account.
    RegionOfAccount,
    /// Customers' own domains have servers of another name when they are paid for.
    PaidServers,
    /// TLS 1.3 is not spoken.
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

    /// The same for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::DeadConnectionsCount => "connections that died count for a while, too",
            Self::PoppedOnce => "POP3 lists a message once, also when it was not deleted",
            Self::OffersPlainInVain => "offers AUTH=PLAIN and takes no password",
            Self::QuietIdle => "IDLE goes silent after ten minutes or so",
            Self::IdleForTwelveMinutes => "cuts IDLE after twelve minutes or so",
            Self::TokenInTwoSteps => "POP3 takes a token only in two steps",
            Self::OldMailElsewhere => "older mail over IMAP at export.imap.mail.yahoo.com",
            Self::PeekAlone => "gives messages by BODY.PEEK[] alone",
            Self::WantsId => "wants ID after the login",
            Self::InitialResponseIsBad => "offers SASL-IR and answers it with BAD",
            Self::LoginsLock => "many logins within a short time lock the mailbox",
            Self::PopEveryQuarterOfAnHour => "POP3 may be asked every fifteen minutes (`poll: 15m`)",
            Self::RegionOfAccount => "the host depends on the region of the account",
            Self::PaidServers => {
                "paid accounts with a domain of their own: imappro, smtppro in the place of imap, smtp"
            }
            Self::OldTls => "speaks TLS 1.2 at most",
        }
    }
}
