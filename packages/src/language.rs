//! Languages as manifests name them.

use isolang::Language;

/// Bibliographic codes of ISO 639-2 that differ from the terminological ones, which are those of ISO 639-3.
const BIBLIOGRAPHIC: [(&str, &str); 20] = [
    ("alb", "sqi"),
    ("arm", "hye"),
    ("baq", "eus"),
    ("bur", "mya"),
    ("chi", "zho"),
    ("cze", "ces"),
    ("dut", "nld"),
    ("fre", "fra"),
    ("geo", "kat"),
    ("ger", "deu"),
    ("gre", "ell"),
    ("ice", "isl"),
    ("mac", "mkd"),
    ("mao", "mri"),
    ("may", "msa"),
    ("per", "fas"),
    ("rum", "ron"),
    ("slo", "slk"),
    ("tib", "bod"),
    ("wel", "cym"),
];

/// The longest language tag that is kept, in characters; RFC 5646 (4.4.1) suggests 35.
const LONGEST: usize = 35;

/// Returns the terminological code of ISO 639-2 of a language, which may have a bibliographic one, too (`deu` and `ger`); any other text
/// as it is, and `und` for none.
#[must_use]
pub fn terminology(language: &str) -> &str {
    let known = BIBLIOGRAPHIC.iter().find(|(bibliographic, _)| *bibliographic == language);
    known.map_or(if language.is_empty() { "und" } else { language }, |(_, terms)| terms)
}

/// Returns a language as a tag of BCP 47: the shortest code of the language (RFC 5646, 2.2.1), and subtags as they are. Empty if it is
/// unknown (`und`), or no language tag.
pub(crate) fn tag(language: &str) -> String {
    let is_tag = language.len() <= LONGEST
        && language.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    let (primary, rest) = language.find('-').map_or((language, ""), |at| language.split_at(at));
    if !is_tag || primary.len() < 2 || !primary.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return String::new();
    }
    let primary = primary.to_ascii_lowercase();
    if primary == "und" {
        return String::new();
    }
    let code = terminology(&primary);
    let shortest = Language::from_639_3(code).and_then(|language| language.to_639_1()).unwrap_or(code);
    format!("{shortest}{rest}")
}

/// Returns a language's name in that language, such as `Deutsch`; `None` if it is unknown.
pub(crate) fn autonym(tag: &str) -> Option<String> {
    let primary = tag.split('-').next().unwrap_or_default();
    let name = Language::from_639_1(primary).or_else(|| Language::from_639_3(primary))?.to_autonym()?;
    let mut rest = name.chars();
    // Many languages write their names small; in a menu they begin a line.
    rest.next().map(|first| first.to_uppercase().chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_its_shortest_code() {
        for (language, expected) in [
            ("eng", "en"),
            ("ger", "de"),
            ("deu", "de"),
            ("GER", "de"),
            ("gsw", "gsw"),
            ("pt-BR", "pt-BR"),
            ("zho-Hant", "zh-Hant"),
        ] {
            assert_eq!(tag(language), expected, "{language}");
        }
    }

    #[test]
    fn what_is_no_language_is_left_out() {
        for language in [
            "",
            "und",
            "e",
            "x\"y",
            "en US",
            "a-very-long-tag-that-has-more-than-35-characters",
            "-",
            "en-",
            "123",
        ] {
            assert_eq!(tag(language), "", "{language}");
        }
    }

    #[test]
    fn two_codes_of_a_language_are_one() {
        assert_eq!((terminology("ger"), terminology("deu"), terminology("eng")), ("deu", "deu", "eng"));
        assert_eq!((terminology(""), terminology("x-klingon")), ("und", "x-klingon"));
    }

    #[test]
    fn languages_have_names_of_their_own() {
        assert_eq!(autonym("de").as_deref(), Some("Deutsch"));
        assert_eq!(autonym("pt-BR").as_deref(), Some("Português"));
        assert_eq!(autonym("qqq"), None);
    }
}
