//! The shipped filters, as they lie in `filters/`: compiled into the program, included by name.

/// A shipped filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Its name, by which `uses` and `filters` find it: `lists/by-list-id`.
    pub name: &'static str,
    /// Its file below `filters/`.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
    /// For a filter in Lua: its tests.
    pub tests: Option<&'static str>,
}

macro_rules! yaml {
    ($name:literal) => {
        Shipped {
            name: $name,
            file: concat!($name, ".yaml"),
            text: include_str!(concat!("../../filters/", $name, ".yaml")),
            tests: None,
        }
    };
}

macro_rules! lua {
    ($name:literal) => {
        Shipped {
            name: $name,
            file: concat!($name, ".lua"),
            text: include_str!(concat!("../../filters/", $name, ".lua")),
            tests: Some(include_str!(concat!("../../filters/", $name, ".tests.yaml"))),
        }
    };
}

/// All of them, in the order of their index.
pub const SHIPPED: &[Shipped] = &[
    yaml!("guards/clamd"),
    yaml!("guards/duplicates"),
    yaml!("guards/executables"),
    yaml!("guards/loops"),
    yaml!("guards/oversize"),
    yaml!("guards/unparsable"),
    yaml!("lists/by-list-id"),
    yaml!("lists/github"),
    yaml!("lists/gitlab"),
    yaml!("lists/misc"),
    lua!("lists/patches"),
    yaml!("sort/by-sender-domain"),
    yaml!("sort/by-subaddress"),
    yaml!("sort/by-year"),
    yaml!("sort/calendar"),
    yaml!("sort/cron"),
    yaml!("sort/newsletters"),
    yaml!("sort/receipts"),
    lua!("people/contacts-first"),
    lua!("people/harvest"),
    yaml!("people/mute-thread"),
    yaml!("people/vip"),
    yaml!("reply/acknowledge"),
    lua!("reply/echo"),
    yaml!("reply/moved"),
    yaml!("reply/vacation"),
    yaml!("forward/copy-to"),
    lua!("forward/on-call"),
    yaml!("spam/bogofilter"),
    yaml!("spam/dmarc"),
    yaml!("spam/headers"),
    lua!("spam/phishing-signs"),
    yaml!("spam/rspamc"),
    yaml!("spam/spamassassin"),
    lua!("pipe/archive-attachments"),
    yaml!("pipe/backup"),
    yaml!("pipe/webhook"),
];

/// The one of that name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| shipped.name == name)
}
