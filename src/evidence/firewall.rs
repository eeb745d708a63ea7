//! A host's packet filter as far as it concerns containers: the chains of `iptables-save -c`. Pure.
//!
//! What stands in tables of nftables itself is not in there, so that nothing here is proof that a packet passes.

mod conditions;
mod packet;
mod parse;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

pub use conditions::{Conditions, Match};
pub use packet::{Packet, Protocol, State};
pub use parse::{NotUnderstood, parse};
pub use walk::{Dropped, Fate};

/// The packet filter of an engine's host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// Its chains, in order of family, machinery, table and name.
    pub chains: Vec<Chain>,
    /// The families whose chains could not be read, and why.
    pub unread: BTreeMap<Family, String>,
    /// Whether IPv4 packets between the ports of one bridge come by (net.bridge.bridge-nf-call-iptables); nothing where it is not known.
    pub bridged: Option<bool>,
}

/// A chain of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Which packets come by.
    pub family: Family,
    /// What runs it.
    pub machinery: Machinery,
    /// Table: `filter`, `nat`, `raw`, `mangle`.
    pub table: String,
    /// Name: `FORWARD`, `DOCKER-USER` …
    pub name: String,
    /// Policy of a built-in chain: `ACCEPT` or `DROP`.
    pub policy: Option<String>,
    /// Packets that met the policy.
    pub packets: u64,
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

/// Versions of IP, which have tables of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// iptables
    #[default]
    V4,
    /// ip6tables
    V6,
}

/// A kernel has two machineries for such rules. Each has tables of its own, and a packet has to pass both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Machinery {
    /// nf_tables, which iptables writes to by default since 1.8
    #[default]
    Nft,
    /// ip_tables
    Legacy,
}

impl Firewall {
    /// The chain of a table; of each machinery that has it.
    pub fn chains_of<'a>(&'a self, family: Family, table: &'a str, name: &'a str) -> impl Iterator<Item = &'a Chain> {
        self.chains.iter().filter(move |c| c.family == family && c.table == table && c.name == name)
    }

    /// The rules of a table's chain that drop or reject, whatever they match. Rules of chains that it jumps to are not among them.
    pub fn drops<'a>(&'a self, family: Family, table: &'a str, name: &'a str) -> impl Iterator<Item = &'a Rule> {
        let rules = self.chains_of(family, table, name).flat_map(|chain| &chain.rules);
        rules.filter(|rule| Conditions::parse(&rule.text).drops())
    }

    /// What becomes of a packet that enters a chain, as far as its rules tell. A chain that is not there lets everything pass; nor is
    /// anything in the way that is known where its family could not be read.
    pub fn fate(&self, table: &str, chain: &str, packet: &Packet) -> Fate<'_> {
        walk::fate(self, table, chain, packet)
    }

    /// Whether packets of a family are led to the engine's chains at all: those that translate published ports (nat `DOCKER`), and those that
    /// let containers' packets pass (filter `DOCKER`). Both false is what a flush leaves behind.
    ///
    /// An engine that is told to use nftables itself has no such chains either, and older ones have none for IPv6. Nothing where the family
    /// could not be read.
    pub fn engine_chains(&self, family: Family) -> Option<EngineChains> {
        let leads = |table, from| self.reachable(family, table, from).contains("DOCKER");
        (!self.unread.contains_key(&family))
            .then(|| EngineChains { translate: leads("nat", "PREROUTING"), forward: leads("filter", "FORWARD") })
    }

    /// Whether a chain jumps to another one, directly or through others.
    pub fn leads(&self, family: Family, table: &str, from: &str, to: &str) -> bool {
        self.reachable(family, table, from).contains(to)
    }

    /// The chains that a chain jumps to, directly or through others.
    fn reachable(&self, family: Family, table: &str, from: &str) -> BTreeSet<String> {
        let (mut found, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(name) = next.pop() {
            let rules = self.chains_of(family, table, &name).flat_map(|chain| &chain.rules);
            let targets: Vec<String> = rules.filter_map(|rule| Conditions::parse(&rule.text).target).collect();
            next.extend(targets.into_iter().filter(|target| found.insert(target.clone())));
        }
        found
    }
}

/// Which of the engine's chains packets are led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineChains {
    /// Those that translate published ports.
    pub translate: bool,
    /// Those that let containers' packets pass.
    pub forward: bool,
}

#[cfg(test)]
mod tests;
