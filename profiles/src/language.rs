//! Languages by their codes in ISO 639-2.

/// Languages that have two codes in ISO 639-2, the bibliographic one and the one for terms.
const TWO_CODES: [(&str, &str); 20] = [
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

/// Returns the code for terms of a language, and `und` of one that is unknown.
pub(crate) fn terminology(language: &str) -> &str {
    let known = TWO_CODES.iter().find(|(bibliographic, _)| *bibliographic == language);
    known.map_or(if language.is_empty() { "und" } else { language }, |(_, terms)| terms)
}
