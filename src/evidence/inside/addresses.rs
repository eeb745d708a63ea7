//! The addresses of a network namespace, as `/proc/PID/net` shows them. Pure.

use std::net::{IpAddr, Ipv6Addr};

/// Addresses of `fib_trie` and `if_inet6`, without those of loopback, in order. What does not read as such is passed over.
pub fn parse(fib_trie: &str, if_inet6: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = v4(fib_trie).chain(v6(if_inet6)).filter(|ip| !ip.is_loopback()).collect();
    found.sort();
    found.dedup();
    found
}

/// A leaf of the trie is `|-- ADDRESS`, and the lines below say what it is: `/32 host LOCAL` for one of this namespace's own.
fn v4(fib_trie: &str) -> impl Iterator<Item = IpAddr> {
    let mut leaf = None;
    fib_trie.lines().filter_map(move |line| match line.trim() {
        "/32 host LOCAL" => leaf,
        text => {
            leaf = text.strip_prefix("|-- ").map_or(leaf, |address| address.parse().ok());
            None
        }
    })
}

/// The first word of each line is the address in 32 hexadecimal digits.
fn v6(if_inet6: &str) -> impl Iterator<Item = IpAddr> {
    let address = |line: &str| line.split_whitespace().next().filter(|word| word.len() == 32).map(|word| u128::from_str_radix(word, 16));
    if_inet6.lines().filter_map(move |line| Some(Ipv6Addr::from(address(line)?.ok()?).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_told_from_networks_and_broadcasts() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 192.168.7.0/24 2 0 2\n        \
                    |-- 192.168.7.0\n           /24 link UNICAST\n        |-- 192.168.7.20\n           /32 host LOCAL\n        \
                    |-- 192.168.7.255\n           /32 link BROADCAST\nLocal:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     \
                    |-- 192.168.7.20\n        /32 host LOCAL\n";
        let v6 = "00000000000000000000000000000001 01 80 10 80       lo\nfd000000000000000000000000000007 02 40 00 80     eth0\n";
        let expected: Vec<IpAddr> = vec![IpAddr::from([192, 168, 7, 20]), "fd00::7".parse().unwrap()];
        assert_eq!(parse(trie, v6), expected);
        assert_eq!(parse("", "zz\n"), Vec::<IpAddr>::new());
    }
}
