//! What `init` says, in the user's language as far as it is known here.

use std::env;

use crate::providers::SecretKind;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// By the environment, as setlocale(3) looks for the language of messages.
    pub(super) fn of_the_user() -> Self {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let locale = names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
        match locale.is_some_and(|locale| locale.starts_with("zh")) {
            true => Self::Chinese,
            false => Self::English,
        }
    }

    pub(super) fn words(self) -> &'static Sentences {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    /// Which secret is wanted, and where it is made.
    pub(super) fn secret(self, secret: SecretKind) -> &'static str {
        match (self, secret) {
            (Self::English, secret) => secret.words(),
            (Self::Chinese, SecretKind::Password) => "邮箱密码",
            (Self::Chinese, SecretKind::AppPassword) => "应用专用密码，不是网页登录密码；需先开启两步验证才能生成",
            (Self::Chinese, SecretKind::AppPasswordWithTwoFactor) => "邮箱密码；开启两步验证后需要应用专用密码",
            (Self::Chinese, SecretKind::MailPassword) => "邮件客户端专用密码，与网页登录密码不同",
            (Self::Chinese, SecretKind::ClientPassword) => "客户端专用密码（开启“安全登录”时），否则为邮箱密码",
            (Self::Chinese, SecretKind::Code) => {
                "授权码，不是网页登录密码；在网页邮箱的设置中开启 IMAP/SMTP 服务后生成"
            }
            (Self::Chinese, SecretKind::OAuth2) => "OAuth2 登录，不再接受密码",
            (Self::Chinese, SecretKind::Bridge) => "本机 Bridge 程序显示的密码",
        }
    }
}

/// The sentences. `{}` is where something is put in.
pub(super) struct Sentences {
    pub(super) address: &'static str,
    pub(super) looking: &'static str,
    pub(super) servers: &'static str,
    pub(super) from: &'static str,
    pub(super) wants: &'static str,
    pub(super) made_at: &'static str,
    pub(super) unconfirmed: &'static str,
    pub(super) sure: &'static str,
    pub(super) no_servers: &'static str,
    pub(super) imap: &'static str,
    pub(super) smtp: &'static str,
    pub(super) secret: &'static str,
    pub(super) token: &'static str,
    pub(super) trying: &'static str,
    pub(super) again: &'static str,
    pub(super) all_the_same: &'static str,
    pub(super) first: &'static str,
    pub(super) filters: &'static str,
    pub(super) service: &'static str,
    pub(super) not_understood: &'static str,
    pub(super) written: &'static str,
    pub(super) fetch_now: &'static str,
    pub(super) sign_in: &'static str,
    pub(super) systemd: &'static str,
    pub(super) cron: &'static str,
    pub(super) nobody: &'static str,
    pub(super) no_relay: &'static str,
}

static ENGLISH: Sentences = Sentences {
    address: "Your address: ",
    looking: "Looking for its servers …",
    servers: "  {} as {}",
    from: "        from {}",
    wants: "{} wants {}.",
    made_at: "It is made at {}.",
    unconfirmed: "Nobody signs what was found so: {}. Give a password only if your provider has these hosts; Ctrl-C stops.",
    sure: "Are these your provider's? [y/N] ",
    no_servers: "No servers were found for it. Your provider names them in its help.",
    imap: "IMAP server (host, or host:port): ",
    smtp: "SMTP server (host, or host:port; Enter: none): ",
    secret: "Password (not shown; `!pass show mail/work` takes it from a program): ",
    token: "Client id of an app of yours (docs/sign-in.md), or `!oama access me@example.com`, a program that prints tokens: ",
    trying: "Trying to receive and to send; nothing is fetched and nothing sent …",
    again: "The server refuses it. Once more:",
    all_the_same: "Write the config all the same? [y/N] ",
    first: "Fetch how far back: [a]ll, only [n]ew mail, or a time like 30d [a]: ",
    filters: "Filters to begin with, as 1,2,3 (Enter: none)\n  1 a folder for each mailing list\n  2 newsletters into Newsletters\n  \
              3 what a spam filter has marked into Junk\n: ",
    service: "Who fetches: a [s]ystemd service, [c]ron, or [n]obody yet [n]: ",
    not_understood: "That is not understood.",
    written: "\nThe config is {}; `mailsluice check` finds mistakes in it.",
    fetch_now: "`mailsluice fetch {}` fetches now.",
    sign_in: "`mailsluice login {}` signs in, once; `mailsluice doctor {}` then tries it.",
    systemd: "\nThe service is {}; start it with:\n  systemctl --user enable --now mailsluice\n  loginctl enable-linger",
    cron: "\nPut this line into `crontab -e`:\n  */5 * * * * {} -q fetch",
    nobody: "\n`mailsluice run` fetches as soon as mail comes; see examples/systemd and examples/cron.",
    no_relay: "\nNothing can be sent yet: the config has no relay.",
};

static CHINESE: Sentences = Sentences {
    address: "您的邮箱地址：",
    looking: "正在查找服务器……",
    servers: "  {}，用户名 {}",
    from: "        来源：{}",
    wants: "{} 需要：{}。",
    made_at: "生成页面：{}",
    unconfirmed: "以下服务器未经签名确认：{}。只有确认它们属于您的邮件服务商时才输入密码；按 Ctrl-C 退出。",
    sure: "这些服务器属于您的邮件服务商吗？[y/N] ",
    no_servers: "没有找到服务器，请查看邮件服务商的帮助页面。",
    imap: "IMAP 服务器（主机名或 主机名:端口）：",
    smtp: "SMTP 服务器（主机名或 主机名:端口；直接回车：无）：",
    secret: "密码或授权码（不显示；输入 `!pass show mail/work` 则由程序给出）：",
    token: "您的应用的 client id（见 docs/sign-in.md），或以 `!` 开头的输出令牌的程序，如 `!oama access me@example.com`：",
    trying: "正在测试收信和发信（不会取信，也不会发信）……",
    again: "服务器拒绝登录，请再输入一次：",
    all_the_same: "仍然写入配置吗？[y/N] ",
    first: "收取多久以前的邮件：全部 [a]，只收新邮件 [n]，或一段时间如 30d [a]：",
    filters: "初始过滤规则，如 1,2,3（直接回车：不用）\n  1 每个邮件列表一个文件夹\n  2 订阅邮件放入 Newsletters\n  3 已标记的垃圾邮件放入 Junk\n：",
    service: "由谁收信：systemd 服务 [s]，cron [c]，暂不设置 [n] [n]：",
    not_understood: "无法识别。",
    written: "\n配置已写入 {}；`mailsluice check` 可检查其中的错误。",
    fetch_now: "现在收信：`mailsluice fetch {}`。",
    sign_in: "请先登录一次：`mailsluice login {}`，然后用 `mailsluice doctor {}` 测试。",
    systemd: "\n服务文件为 {}，启动命令：\n  systemctl --user enable --now mailsluice\n  loginctl enable-linger",
    cron: "\n请把这一行加入 `crontab -e`：\n  */5 * * * * {} -q fetch",
    nobody: "\n`mailsluice run` 持续收信；参见 examples/systemd 和 examples/cron。",
    no_relay: "\n目前还不能发信：配置中没有 relay。",
};
