//! Names that are known without a DNS server: `/etc/hosts` (hosts(5)), in which an engine writes a container's links, extra hosts and own name.

use std::net::IpAddr;

/// Lines that are kept of a file at most.
const MOST: usize = 4096;

/// What a hosts file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<(String, IpAddr)>);

impl Hosts {
    /// Reads a hosts file. A line without an address at its beginning says nothing.
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| -> Vec<(String, IpAddr)> {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            // A link-local address has its interface after a %.
            let address = words.next().and_then(|w| w.split('%').next()).and_then(|w| w.parse().ok());
            address.map(|ip| words.map(|name| (without_dot(name), ip)).collect()).unwrap_or_default()
        };
        Hosts(text.lines().take(MOST).flat_map(line).collect())
    }

    /// The addresses of a name, in order; none where the file does not have it.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let name = without_dot(name);
        let mut addresses: Vec<IpAddr> = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(&name)).map(|(_, ip)| *ip).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }
}

fn without_dot(name: &str) -> String {
    name.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(hosts: &Hosts, name: &str) -> Vec<String> {
        hosts.addresses(name).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_containers_file_is_read() {
        let hosts = Hosts::parse(
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
             172.17.0.1\thost.docker.internal # host-gateway\n172.17.0.2\tdb database 5f2c0ffee000\n172.18.0.3\t18bd304568ff\n",
        );
        assert_eq!(texts(&hosts, "localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(texts(&hosts, "Host.Docker.Internal."), ["172.17.0.1"]);
        assert_eq!(texts(&hosts, "database"), ["172.17.0.2"]);
        assert!(texts(&hosts, "host-gateway").is_empty() && texts(&hosts, "web").is_empty() && texts(&hosts, "").is_empty());
    }

    #[test]
    fn what_is_no_line_of_it_says_nothing() {
        for text in ["", "web 10.0.0.7", "# 10.0.0.7 web", "10.0.0.7", "10.0.0.7.1 web", "\u{0}\u{ff}"] {
            assert!(Hosts::parse(text).addresses("web").is_empty(), "{text:?}");
        }
        assert_eq!(texts(&Hosts::parse("fe80::1%eth0 web"), "web"), ["fe80::1"]);
    }
}
