//! Charset labels that occur in mail but are unknown to browsers: those of glibc's iconv and of Python, whose names many programs
//! use, and Windows code page numbers.

use std::collections::HashMap;
use std::sync::LazyLock;

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, ISO_2022_JP, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5,
    ISO_8859_6, ISO_8859_7, ISO_8859_8, ISO_8859_8_I, ISO_8859_10, ISO_8859_13, ISO_8859_14, ISO_8859_15, ISO_8859_16,
    KOI8_R, KOI8_U, MACINTOSH, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_874, WINDOWS_1250, WINDOWS_1251,
    WINDOWS_1252, WINDOWS_1253, WINDOWS_1254, WINDOWS_1255, WINDOWS_1256, WINDOWS_1257, WINDOWS_1258, X_MAC_CYRILLIC,
    X_USER_DEFINED,
};

use super::CharsetKind;
use super::dos::CodePage;
use super::utf32::ByteOrder;

/// How much of a label is looked at, in characters.
const MAX_LABEL_CHARS: usize = 60;

/// The letters and digits of each charset's labels, in lower case, without those that encoding_rs knows. A charset that
/// differs from one of browsers only in a few missing characters, or in characters that no font has, is mapped to it.
const OTHER_NAMES: &[(CharsetKind, &str)] = &[
    (
        CharsetKind::Web(BIG5),
        "950 big5hkscs big5hkscs2004 big5tw bigfive cnbig5 cp950 cp951 hkscs ms950 win950 windows950 \
         xmactradchinese xxbig5",
    ),
    (CharsetKind::Dos(CodePage::Us), "437 cp437 cspc8codepage437 ibm437"),
    (CharsetKind::Dos(CodePage::Western), "850 cp850 cspc850multilingual ibm850"),
    (CharsetKind::Dos(CodePage::WesternWithEuro), "858 cp858 csibm858 ibm00858 cspc858multilingual ibm858"),
    (
        CharsetKind::Web(EUC_JP),
        "cp20932 cp51932 eucjis2004 eucjisx0213 eucjp eucjpms eucjpopen eucjpwin jisx0213 ujis xeucjp",
    ),
    (
        CharsetKind::Web(EUC_KR),
        "949 cp51949 cp949 euckr isoir149 ksc56011987 ksc56011989 ksc56011992 ksc5601x1987 ksx1001 \
         ms949 mscp949 uhc win949 windows949 xmackorean",
    ),
    (CharsetKind::Web(GB18030), "cp54936 gb180302000 gb180302005 gb180302022"),
    (
        CharsetKind::Web(GBK),
        "936 cngb cp51936 cp936 euccn eucgb2312cn gb23121980 gb231280 isoir58 ms936 win936 windows936 \
         xgbk xmacsimpchinese",
    ),
    (CharsetKind::Hz, "cp52936 hz hzgb hzgb2312"),
    (
        CharsetKind::Web(ISO_2022_JP),
        "cp50220 cp50221 cp50222 csiso2022jp2 iso2022jp iso2022jp1 iso2022jp2 iso2022jp2004 iso2022jp3 \
         iso2022jpext iso2022jpms",
    ),
    (CharsetKind::Iso2022Kr, "cp50225 csiso2022kr iso2022kr iso2022kr1993"),
    (CharsetKind::Web(ISO_8859_10), "iso8859101992 isoir157"),
    (CharsetKind::Web(ISO_8859_13), "baltic cp28603 isoir179 l7 latin7"),
    (CharsetKind::Web(ISO_8859_14), "iso8859141998 isoceltic isoir199 l8 latin8"),
    (CharsetKind::Web(ISO_8859_15), "cp28605 iso8859151998 isoir203 latin0 latin9"),
    (CharsetKind::Web(ISO_8859_16), "iso885916 iso8859162001 isoir226 l10 latin10"),
    (CharsetKind::Web(ISO_8859_2), "88592 cp28592 cp912 ibm912 iso885921987 isoir101"),
    (CharsetKind::Web(ISO_8859_3), "88593 cp28593 iso885931988 isoir109"),
    (CharsetKind::Web(ISO_8859_4), "88594 cp28594 iso885941988 isoir110"),
    (CharsetKind::Web(ISO_8859_5), "88595 cp28595 cp915 ibm915 iso885951988 isoir144"),
    (
        CharsetKind::Web(ISO_8859_6),
        "88596 asmo708 cp1089 cp28596 ecma114 ibm1089 iso885961987 iso88596e iso88596i isoir127",
    ),
    (
        CharsetKind::Web(ISO_8859_7),
        "88597 cp28597 cp813 ecma118 elot928 ibm813 iso885971987 iso885972003 isoir126 suneugreek",
    ),
    (CharsetKind::Web(ISO_8859_8), "88598 cp28598 cp916 ibm916 iso885981988 iso88598e isoir138"),
    (CharsetKind::Web(ISO_8859_8_I), "iso88598i"),
    (CharsetKind::Web(KOI8_R), "cp20866 koi8r"),
    (CharsetKind::Web(KOI8_U), "cp21866 koi8ru koi8u"),
    (CharsetKind::Web(MACINTOSH), "cp10000 macroman xmacroman"),
    (
        CharsetKind::Web(SHIFT_JIS),
        "932 cp932 cp942 cp943 csibm943 cswindows31j ibm932 ibm943 mskanji shiftjis shiftjis2004 \
         shiftjisx0213 sjis2004 sjisopen sjiswin sjisx0213 win932 windows31j windows932 xmacjapanese \
         xsjis",
    ),
    (CharsetKind::Web(UTF_16BE), "cp1201 utf16be"),
    (CharsetKind::Web(UTF_16LE), "cp1200 iso10646ucs2 ucs2 utf16 utf16le"),
    (CharsetKind::Utf32(ByteOrder::Marked), "csucs4 iso10646ucs4 ucs4 utf32"),
    (CharsetKind::Utf32(ByteOrder::Big), "cp12001 ucs4be utf32be"),
    (CharsetKind::Utf32(ByteOrder::Little), "cp12000 ucs4le utf32le"),
    (CharsetKind::Utf7, "cp65000 csutf7 unicode11utf7 unicode20utf7 utf7"),
    (CharsetKind::Web(UTF_8), "cp65001 utf8bom utf8mac utf8mb4 utf8sig xunicode20utf8"),
    (CharsetKind::Web(WINDOWS_1250), "1250 msee win1250 windows1250 xcp1250"),
    (CharsetKind::Web(WINDOWS_1251), "1251 mscyrl win1251 windows1251 xcp1251"),
    (
        CharsetKind::Web(WINDOWS_1252),
        "1252 8859 88591 ansi cp28591 iso8859 iso885911987 isoir100 latin msansi win1252 windows1252 \
         xcp1252",
    ),
    (CharsetKind::Web(WINDOWS_1253), "1253 msgreek win1253 windows1253 xcp1253"),
    (
        CharsetKind::Web(WINDOWS_1254),
        "1254 88599 cp28599 cp920 ecma128 ibm920 iso885991989 isoir148 msturk ts5881 win1254 \
         windows1254 xcp1254",
    ),
    (CharsetKind::Web(WINDOWS_1255), "1255 mshebr win1255 windows1255 xcp1255"),
    (CharsetKind::Web(WINDOWS_1256), "1256 msarab win1256 windows1256 xcp1256"),
    (CharsetKind::Web(WINDOWS_1257), "1257 win1257 winbaltrim windows1257 xcp1257"),
    (CharsetKind::Web(WINDOWS_1258), "1258 win1258 windows1258 xcp1258"),
    (
        CharsetKind::Web(WINDOWS_874),
        "874 cp874 dos874 ibm874 iso8859112001 isoir166 thai tis620 tis6200 tis62025290 tis62025291 \
         tis62025330 win874 windows874",
    ),
    (CharsetKind::Web(X_MAC_CYRILLIC), "cp10007 maccyrillic macuk macukrainian xmaccyrillic xmacukrainian"),
];

/// Finds the charset by the letters and digits of its label, because `iso_8859_1`, `win-1251` and `x-cp1251` occur too.
pub(super) fn find(label: &str) -> Option<CharsetKind> {
    static BY_NAME: LazyLock<HashMap<&str, CharsetKind>> = LazyLock::new(|| {
        let names = OTHER_NAMES.iter().flat_map(|(kind, names)| names.split_whitespace().map(|name| (name, *kind)));
        names.collect()
    });
    let letters = label.chars().take(MAX_LABEL_CHARS).filter(char::is_ascii_alphanumeric);
    let name: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    let known = |name: &str| match BY_NAME.get(name) {
        Some(kind) => Some(*kind),
        None => Encoding::for_label_no_replacement(name.as_bytes())
            .filter(|web| *web != X_USER_DEFINED)
            .map(CharsetKind::Web),
    };
    let is_ascii = |name: &str| matches!(name, "usascii" | "ascii" | "ansix341968");
    match known(&name).or_else(|| known(name.strip_prefix('x')?)) {
        Some(_) if is_ascii(&name) => None,
        found => found,
    }
}
