//! Classifies refusals of IMAP, POP3 and SMTP servers: by their code if they have one, otherwise by their words, in the
//! languages that servers use. `tests/replies/refusals.tsv` has real examples.

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalMeaning {
    /// It is temporary.
    Later,
    /// The user name or password is wrong, or another kind of password is required.
    WrongCredentials,
    /// It is permanent, and another password does not help.
    Final,
    /// The server gives no reason.
    Unclear,
}

/// Words that clearly say that the credentials are wrong.
const WRONG_STATED: &[&str] = &[
    "INVALID CREDENTIALS",
    "INVALID PASSWORD",
    "WRONG PASSWORD",
    "INCORRECT PASSWORD",
    "PASSWORD IS INCORRECT",
    "BAD PASSWORD",
];

/// Classifies a refusal as the server wrote it.
pub fn meaning(reply: &str) -> RefusalMeaning {
    let upper = reply.to_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    if names_every_cause(&upper) {
        return RefusalMeaning::Unclear;
    }
    // Some servers use the code of a wrong password for "too many" as well.
    if says(TOO_MANY_WORDS) || is_too_much(&upper) {
        return RefusalMeaning::Later;
    }
    if says(WRONG_CODES) || upper.starts_with("534 ") {
        return RefusalMeaning::WrongCredentials;
    }
    if says(FINAL_CODES) || upper.starts_with("538 ") {
        return RefusalMeaning::Final;
    }
    if says(LATER_CODES) || is_transient_code(&upper) {
        return RefusalMeaning::Later;
    }
    if says(LATER_WORDS) {
        // `Invalid credentials, please try again later`: repeating that again and again would lock the account.
        return if says(WRONG_STATED) { RefusalMeaning::Unclear } else { RefusalMeaning::Later };
    }
    if upper.starts_with("535 ") || says(WRONG_WORDS) {
        return RefusalMeaning::WrongCredentials;
    }
    if says(RETRY_WORDS) { RefusalMeaning::Later } else { RefusalMeaning::Unclear }
}

/// Whether a word, like `password`, occurs in typical refusals.
pub fn is_said_in_refusals(word: &str) -> bool {
    let upper = word.to_uppercase();
    [WRONG_STATED, WRONG_CODES, FINAL_CODES, LATER_CODES, TOO_MANY_WORDS, LATER_WORDS, RETRY_WORDS, WRONG_WORDS]
        .concat()
        .iter()
        .any(|said| said.contains(&upper))
}

/// QQ answers every login error with a list of possible causes: "password is incorrect, login frequency limited, or system is
/// busy".
fn names_every_cause(upper: &str) -> bool {
    upper.contains("PASSWORD IS INCORRECT") && upper.contains("SYSTEM IS BUSY")
}

/// Whether a limit was exceeded: "Exceeded the login limit for a 15 minute period" (Hotmail), "Account exceeded command or
/// bandwidth limits" (Gmail).
fn is_too_much(upper: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    has(&["EXCEED"]) && has(&["LIMIT", "PERIOD", "RATE", "MAXIMUM", "QUOTA", "FREQUEN"])
        || has(&["超过", "超出", "超過"]) && has(&["限制", "上限", "频率", "頻率"])
}

/// Whether the reply has an SMTP code `4yz` (RFC 5321 4.2.1).
fn is_transient_code(upper: &str) -> bool {
    let code = upper.split([' ', '-']).next().unwrap_or_default();
    code.len() == 3 && code.starts_with('4') && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// Codes for wrong credentials: RFC 5530, RFC 3206, and those that Microsoft and Google use instead.
const WRONG_CODES: &[&str] = &[
    "[AUTHENTICATIONFAILED]",
    "[AUTHORIZATIONFAILED]",
    "[EXPIRED]",
    "[AUTH]",
    "5.7.30 ",
    "APPLICATION-SPECIFIC PASSWORD",
    "APP PASSWORD",
];

/// Codes for permanent refusals: RFC 5530, RFC 3206.
const FINAL_CODES: &[&str] = &["[SYS/PERM]", "[PRIVACYREQUIRED]", "[CONTACTADMIN]", "[NOPERM]", "[CANNOT]"];

/// Codes for temporary refusals: RFC 5530, RFC 3206, RFC 2449.
const LATER_CODES: &[&str] =
    &["[UNAVAILABLE]", "[INUSE]", "[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]", "[LIMIT]", "[SERVERBUG]", "[OVERQUOTA]"];

/// Words for "too many" or "too often". They count more than any code.
const TOO_MANY_WORDS: &[&str] = &[
    "TOO MANY",
    "TOO FREQUENT",
    "TOO OFTEN",
    "NUMBER OF CONNECTIONS",
    "CONNECTION LIMIT",
    "RATE LIMIT",
    "LOGIN LIMIT",
    "FREQUENCY",
    "THROTTL",
    "ALLOWED ONLY EVERY",
    "SYSTEM BUSY",
    // Chinese
    "频繁",
    "頻繁",
    "频率",
    "頻率",
    "过多",
    "過多",
    "太多",
    // Japanese
    "多すぎ",
    // German
    "ZU VIELE",
    "ZU OFT",
    "ZU HÄUFIG",
];

/// Microsoft's words if the password is right but access is denied.
pub const NOT_CONNECTED: &str = "NOT CONNECTED";

/// Words for temporary refusals.
const LATER_WORDS: &[&str] = &[
    " LOCKED",
    " TO LOCK",
    "BUSY",
    "IN USE",
    "OPENED BY",
    "ALREADY OPEN",
    " LATER",
    "TEMPORAR",
    "UNAVAILABLE",
    "OVERLOAD",
    "MAINTENANCE",
    "TIMED OUT",
    "TIMEOUT",
    "INTERNAL ERROR",
    "INTERNAL SERVER ERROR",
    "SHUTTING DOWN",
    NOT_CONNECTED,
    "CONNECTION IS CLOSED",
    // Chinese
    "繁忙",
    "系统忙",
    "系統忙",
    "稍后",
    "稍後",
    "稍候",
    "锁定",
    "鎖定",
    "占用",
    "暂时",
    "暫時",
    // Japanese
    "混雑",
    "しばらく",
    "後ほど",
    "時間をおいて",
    "一時的",
    "ロック",
    "使用中",
    "メンテナンス",
    // German
    "GESPERRT",
    "ÜBERLASTET",
    "SPÄTER",
    "VORÜBERGEHEND",
    "MOMENTAN",
    "ZURZEIT",
    "DERZEIT",
    "BEREITS VERWENDET",
    "IN BENUTZUNG",
    "WARTUNG",
];

/// Words that are mere politeness after a wrong password, but mean a temporary refusal on their own.
const RETRY_WORDS: &[&str] = &["TRY AGAIN", "RETRY", "再试", "再試", "再度", "ERNEUT"];

/// Words that always mean a wrong user name or password.
const WRONG_WORDS: &[&str] = &[
    "AUTHENTICATION FAIL",
    "AUTHENTICATION UNSUCCESSFUL",
    "AUTHENTICATION ERROR",
    "AUTHENTICATION REJECTED",
    "AUTHORIZATION FAIL",
    "CREDENTIAL",
    "LOGIN FAIL",
    "LOGON FAIL",
    "LOGIN ERROR",
    "LOGIN INCORRECT",
    "INVALID LOGIN",
    "INVALID USER",
    "UNKNOWN USER",
    "UNABLE TO LOG ON",
    "BAD PASSWORD",
    "INVALID PASSWORD",
    "WRONG PASSWORD",
    "INCORRECT PASSWORD",
    "PASSWORD INCORRECT",
    "PASSWORD IS INCORRECT",
    "PASSWORD ERROR",
    "PASSWORD NOT ACCEPTED",
    "USERNAME OR PASSWORD",
    "LOGIN OR PASSWORD",
    "AUTHORIZATION CODE",
    "AUTHORISATION CODE",
    "AUTHORIZED CODE",
    // Chinese
    "密码",
    "密碼",
    "授权码",
    "授權碼",
    "认证失败",
    "認證失敗",
    "登录失败",
    "登入失敗",
    // Japanese
    "パスワード",
    "認証に失敗",
    "認証エラー",
    "ログインに失敗",
    // German
    "PASSWORT",
    "KENNWORT",
    "ZUGANGSDATEN",
    "ANMELDUNG FEHLGESCHLAGEN",
    "AUTHENTIFIZIERUNG FEHLGESCHLAGEN",
];
