//! Bearer tokens (RFC 6750), and the principals that they belong to.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::problem::Problem;

/// The tokens of the API, each with its principal. If there are none, every request is the default principal's.
#[derive(Clone, Default)]
pub struct Tokens(Vec<(blake3::Hash, String)>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

impl Tokens {
    /// Adds a principal's tokens, one a line, and returns how many. Empty lines and lines that begin with '#' are skipped.
    pub fn read(&mut self, text: &str, principal: &str) -> usize {
        let before = self.0.len();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        self.0.extend(lines.map(|line| (blake3::hash(line.as_bytes()), principal.to_owned())));
        self.0.len() - before
    }

    /// Returns `true` if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the principal of a token. Compares hashes, in constant time.
    fn holder(&self, token: &str) -> Option<&str> {
        let hash = blake3::hash(token.as_bytes());
        self.0
            .iter()
            .fold(None, |found, (token, principal)| if *token == hash { Some(principal) } else { found })
    }
}

/// The name of the principal that calls: an extension of each accepted request.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) String);

/// Middleware that refuses requests without a valid token.
pub(crate) async fn guard(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if tokens.is_empty() {
        request.extensions_mut().insert(Caller(String::new()));
        return Ok(next.run(request).await);
    }
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match header.and_then(token) {
        Some(token) => match tokens.holder(&token) {
            Some(principal) => {
                request.extensions_mut().insert(Caller(principal.to_owned()));
                Ok(next.run(request).await)
            }
            None => Err(Problem::new(StatusCode::UNAUTHORIZED, "unknown token")),
        },
        None => Err(Problem::new(StatusCode::UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN")),
    }
}

/// Returns the token of an `Authorization` header: a bearer token, or the password of basic authentication, which is all that SNS
/// can send.
fn token(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = BASE64_STANDARD.decode(rest.trim()).ok()?;
    Some(String::from_utf8(plain).ok()?.split_once(':')?.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Tokens, token};

    #[test]
    fn a_token_is_a_bearer_token_or_a_password() {
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("basic c25zOmFiYw==").as_deref(), Some("abc"));
        for wrong in ["", "abc", "Basic ???", "Basic c25z", "Digest abc"] {
            assert_eq!(token(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_tokens_that_were_added_are_accepted() {
        let mut tokens = Tokens::default();
        assert_eq!(tokens.read("# team\nfirst\n\n  second \n", "film"), 2);
        assert_eq!(tokens.read("\n#x\n", "news"), 0);
        assert!(tokens.holder("first") == Some("film") && tokens.holder("second") == Some("film"));
        assert!(
            tokens.holder("").is_none()
                && tokens.holder("# team").is_none()
                && tokens.holder("firs").is_none()
        );
        assert_eq!(format!("{tokens:?}"), "2 tokens");
    }
}
