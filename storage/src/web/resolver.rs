//! Resolves the names of web servers, and refuses those of a cloud's metadata service: it gives the machine's credentials to anybody who
//! asks from there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What an address is that is refused, in errors.
pub(super) const METADATA: &str = "an address of this machine's own link, where clouds have their metadata services; no source is read there";

/// The addresses of metadata services that are not link-local: Alibaba Cloud's, Azure's, Oracle's, and those of AWS and Google over
/// IPv6.
const SERVICES: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254)),
];

/// Returns `true` for link-local addresses, which no router forwards, and for those of metadata services.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    // Also an IPv4 address that is written as IPv6.
    let address = address.to_canonical();
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_link_local || SERVICES.contains(&address)
}

/// Resolves names as the system does. The addresses that were checked are the ones that are connected to.
#[derive(Debug)]
pub(super) struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(refused) = found.iter().find(|address| is_metadata(address.ip())) {
                return Err(format!("{} is {METADATA}", refused.ip()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_refused_however_they_are_written_and_others_are_not() {
        for refused in [
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
        ] {
            assert!(is_metadata(refused.parse().unwrap()), "{refused}");
        }
        for allowed in
            ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "93.184.216.34", "100.100.100.201"]
        {
            assert!(!is_metadata(allowed.parse().unwrap()), "{allowed}");
        }
    }
}
