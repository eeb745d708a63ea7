//! A host's packet filter as far as it concerns containers: the chains of `iptables-save -c`. Pure.

/// The packet filter of an engine's host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// Its chains, in order of table and name.
    pub chains: Vec<Chain>,
}

/// A chain of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Table: `filter`, `nat`, `raw`, `mangle`.
    pub table: String,
    /// Name: `FORWARD`, `DOCKER-USER` …
    pub name: String,
    /// Policy of a built-in chain: `ACCEPT` or `DROP`.
    pub policy: Option<String>,
    /// Its rules, first one first.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// As iptables writes it, without the counters: `-A DOCKER-USER -s 172.18.0.0/16 -j DROP`.
    pub text: String,
    /// Packets that matched it.
    pub packets: u64,
}
