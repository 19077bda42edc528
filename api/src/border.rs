//! Which names this server is called by. A page of a stranger in a browser of this machine reaches what listens here, under the
//! stranger's name (DNS rebinding): so on loopback only names that are this server's are answered, and no other page's script.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::Response,
};

use crate::problem::Problem;

/// The names that are answered to.
#[derive(Debug, Clone, Default)]
pub struct Border {
    /// None: whoever reaches it may call it by any name, and must show a token.
    names: Option<Arc<Vec<String>>>,
}

impl Border {
    /// Any name is answered to.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// This machine's own names and addresses, and these.
    #[must_use]
    pub fn loopback(more: &[String]) -> Self {
        let names = more.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { names: Some(Arc::new(names)) }
    }

    fn answers_to(&self, authority: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let host = host(authority).to_ascii_lowercase();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        is_address || host == "localhost" || names.contains(&host)
    }

    /// Whether a page of this origin may call (RFC 6454, 7: a scheme and an authority, or `null`).
    ///
    /// Another port of this machine is another program's: a page from there is a stranger's, too.
    fn is_own(&self, origin: &str, called: &str) -> bool {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| {
            !authority.contains('/') && self.answers_to(authority) && port(authority) == port(called)
        })
    }
}

/// An authority without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// An authority's port; none where it names none.
fn port(authority: &str) -> &str {
    &authority[host(authority).len()..]
}

/// Lets through who calls this server by a name of its own.
pub(crate) async fn guard(
    State(border): State<Border>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    judge(&border, &request)?;
    Ok(next.run(request).await)
}

fn judge(border: &Border, request: &Request) -> Result<(), Problem> {
    let forbidden = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, detail));
    let named = request.headers().get_all(header::HOST).iter();
    let asked = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    for name in named.map(HeaderValue::as_bytes).chain(asked) {
        let is_ours = std::str::from_utf8(name).is_ok_and(|name| {
            // What a host can't be is none of ours.
            name.parse::<Uri>().is_ok() && border.answers_to(name)
        });
        if !is_ours {
            return forbidden(
                "this server is not called so; call it by an address of this machine, or name it with --allowed-host",
            );
        }
    }
    let text =
        |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let called = text(header::HOST).unwrap_or_default();
    if text(header::ORIGIN).is_some_and(|origin| border.names.is_some() && !border.is_own(origin, called)) {
        return forbidden("pages of another origin may not call this server");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered_to() {
        let border = Border::loopback(&["Media.example.org".into()]);
        for own in [
            "127.0.0.1:8080",
            "localhost:8080",
            "[::1]:8080",
            "localhost",
            "LOCALHOST:1",
            "media.example.org",
        ] {
            assert!(border.answers_to(own), "{own}");
        }
        for other in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:8080",
            "10.0.0.1",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!border.answers_to(other), "{other}");
        }
        assert!(Border::open().answers_to("evil.example"));
    }

    #[test]
    fn only_its_own_pages_may_call() {
        let border = Border::loopback(&[]);
        assert!(border.is_own("http://127.0.0.1:8080", "localhost:8080"));
        assert!(border.is_own("https://localhost", "localhost"));
        assert!(!border.is_own("http://127.0.0.1:3000", "127.0.0.1:8080"), "another program's page");
        for other in
            ["null", "http://evil.example", "file://", "http://localhost@evil.example", "http://localhost/x"]
        {
            assert!(!border.is_own(other, "localhost"), "{other}");
        }
    }
}
