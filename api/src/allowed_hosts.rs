//! The host names under which this server may be called. A web page in a browser of this machine can reach a server on loopback
//! under the page's own name (DNS rebinding). So a server on loopback checks the names in `Host` and `Origin`.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::Response,
};

use crate::problem::Problem;

/// The host names under which requests are accepted.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts {
    /// In lower case; `None` accepts any name.
    names: Option<Arc<Vec<String>>>,
}

impl AllowedHosts {
    /// Accepts any name: for a server that is reached over a network, and so requires a token.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Accepts the names and addresses of loopback, and these names.
    #[must_use]
    pub fn loopback(more: &[String]) -> Self {
        let names = more.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { names: Some(Arc::new(names)) }
    }

    fn accepts(&self, authority: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let host = host(authority).to_ascii_lowercase();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        is_address || host == "localhost" || names.contains(&host)
    }

    /// Returns `true` if a web page of this origin may call (RFC 6454, 7: a scheme and an authority, or `null`). `called` is the `Host` of
    /// the request: the ports must be equal, since another port of this machine is another program's.
    fn is_own(&self, origin: &str, called: &str) -> bool {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| {
            !authority.contains('/') && self.accepts(authority) && port(authority) == port(called)
        })
    }
}

/// Returns an authority without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Returns an authority's port with its colon, or an empty string if it has none.
fn port(authority: &str) -> &str {
    &authority[host(authority).len()..]
}

/// Middleware that refuses requests under other host names.
pub(crate) async fn guard(
    State(allowed_hosts): State<AllowedHosts>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    check(&allowed_hosts, &request)?;
    Ok(next.run(request).await)
}

fn check(allowed_hosts: &AllowedHosts, request: &Request) -> Result<(), Problem> {
    let forbidden = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, detail));
    let named = request.headers().get_all(header::HOST).iter();
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    for name in named.map(HeaderValue::as_bytes).chain(target) {
        let is_accepted = std::str::from_utf8(name).is_ok_and(|name| {
            // An authority that can't be parsed is refused.
            name.parse::<Uri>().is_ok() && allowed_hosts.accepts(name)
        });
        if !is_accepted {
            return forbidden(
                "this server does not accept that host name; call it by an address of this machine, or allow the name with --allowed-host",
            );
        }
    }
    let text =
        |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let called = text(header::HOST).unwrap_or_default();
    if text(header::ORIGIN)
        .is_some_and(|origin| allowed_hosts.names.is_some() && !allowed_hosts.is_own(origin, called))
    {
        return forbidden("web pages of another origin may not call this server");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_names_of_this_machine_are_accepted() {
        let allowed_hosts = AllowedHosts::loopback(&["Media.example.org".into()]);
        for own in [
            "127.0.0.1:8080",
            "localhost:8080",
            "[::1]:8080",
            "localhost",
            "LOCALHOST:1",
            "media.example.org",
        ] {
            assert!(allowed_hosts.accepts(own), "{own}");
        }
        for other in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:8080",
            "10.0.0.1",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!allowed_hosts.accepts(other), "{other}");
        }
        assert!(AllowedHosts::any().accepts("evil.example"));
    }

    #[test]
    fn only_its_own_pages_may_call() {
        let allowed_hosts = AllowedHosts::loopback(&[]);
        assert!(allowed_hosts.is_own("http://127.0.0.1:8080", "localhost:8080"));
        assert!(allowed_hosts.is_own("https://localhost", "localhost"));
        assert!(!allowed_hosts.is_own("http://127.0.0.1:3000", "127.0.0.1:8080"), "another program's page");
        for other in
            ["null", "http://evil.example", "file://", "http://localhost@evil.example", "http://localhost/x"]
        {
            assert!(!allowed_hosts.is_own(other, "localhost"), "{other}");
        }
    }
}
