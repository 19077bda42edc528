//! URLs as they are shown.

/// Returns a URL for messages and events without what may be secret in it. In the URL of a web server a query is `?…`, and a user
/// `…@`; any other text stays as it is. It need not be a valid URL.
#[must_use]
pub fn masked_url(text: &str) -> String {
    let is_web = |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_web(scheme)) else {
        return text.to_owned();
    };
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], if rest[at..].len() > 1 { "?…" } else { "" }),
        None => (rest, ""),
    };
    let path_at = rest
        .trim_start_matches('/')
        .find('/')
        .map_or(rest.len(), |at| at + rest.len() - rest.trim_start_matches('/').len());
    let (authority, path) = rest.split_at(path_at);
    // A password may hold an '@' itself, and, in what is no URL, a slash.
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let slashes = if user.is_empty() { "" } else { "//…@" };
    format!("{scheme}:{slashes}{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_a_url_of_a_web_server_is_not_shown() {
        for (url, shown) in [
            ("https://h/a.mov?secret", "https://h/a.mov?…"),
            ("HTTPS://h/a.mov?secret?#x", "HTTPS://h/a.mov?…"),
            ("https://h/a.mov#secret", "https://h/a.mov?…"),
            ("https://h/a.mov?", "https://h/a.mov"),
            ("https://me:secret@h/a.mov", "https://…@h/a.mov"),
            ("https://me:sec@ret@h", "https://…@h"),
            ("https:/me:secret@h/a.mov", "https://…@h/a.mov"),
            ("https://h/@me/a.mov", "https://h/@me/a.mov"),
            ("s3://b/what?.mov", "s3://b/what?.mov"),
            ("0123456789abcdef", "0123456789abcdef"),
            ("", ""),
        ] {
            assert_eq!(masked_url(url), shown, "{url}");
        }
    }
}
