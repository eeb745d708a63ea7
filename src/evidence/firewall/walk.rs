//! The way of a packet through chains.

use super::conditions::{Conditions, Match};
use super::{Chain, Firewall, Machinery, Packet, Rule};

/// Chains that are entered for one packet, and chains within chains. iptables takes no loops; beyond this nothing is known.
const LONGEST: usize = 10_000;
const DEEPEST: usize = 64;

/// What may become of a packet in a chain: everything that is not ruled out. Where one thing alone is left, it is certain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate<'a> {
    /// It may pass: it is accepted, or comes to the end of a chain that has no policy.
    pub passes: bool,
    /// What may drop or reject it, in order.
    pub dropped: Vec<Dropped<'a>>,
}

/// What drops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// The rule; none for the chain's policy.
    pub rule: Option<&'a Rule>,
}

impl<'a> Fate<'a> {
    /// What drops it for certain; the first where several may come first.
    pub fn certain(&self) -> Option<Dropped<'a>> {
        self.dropped.first().copied().filter(|_| !self.passes)
    }
}

impl Dropped<'_> {
    /// Packets that it has dropped until now.
    pub fn packets(&self) -> u64 {
        self.rule.map_or(self.chain.packets, |rule| rule.packets)
    }

    /// Whether the sender is told nothing, so that it waits.
    pub fn is_silent(&self) -> bool {
        self.rule.is_none_or(|rule| Conditions::parse(&rule.text).target.as_deref() == Some("DROP"))
    }

    /// As iptables says it: the rule, or the policy as `-P FORWARD DROP`.
    pub fn text(&self) -> String {
        match (self.rule, &self.chain.policy) {
            (Some(rule), _) => rule.text.clone(),
            (None, policy) => format!("-P {} {}", self.chain.name, policy.as_deref().unwrap_or("DROP")),
        }
    }
}

/// A packet has to pass both machineries.
pub fn fate<'a>(firewall: &'a Firewall, table: &str, chain: &str, packet: &Packet) -> Fate<'a> {
    let packet = &packet.entering(chain);
    let mut fate = Fate { passes: true, dropped: Vec::new() };
    for machinery in [Machinery::Nft, Machinery::Legacy] {
        let mut way = Way { firewall, machinery, table, packet, entered: 0, depth: 0 };
        let ends = way.walk(chain);
        fate.passes &= ends.accepted || ends.returned;
        fate.dropped.extend(ends.dropped);
    }
    fate
}

/// The way through one machinery's table.
struct Way<'a, 'p> {
    firewall: &'a Firewall,
    machinery: Machinery,
    table: &'p str,
    packet: &'p Packet,
    /// Chains entered until now.
    entered: usize,
    /// Chains that it stands in.
    depth: usize,
}

/// How a chain may end.
#[derive(Default)]
struct Ends<'a> {
    accepted: bool,
    returned: bool,
    dropped: Vec<Dropped<'a>>,
}

impl<'a> Ends<'a> {
    /// The packet comes to the chain's end, or back to it.
    fn end(&mut self, chain: &'a Chain) {
        match chain.policy.as_deref() {
            None => self.returned = true,
            Some("DROP") => self.dropped.push(Dropped { chain, rule: None }),
            Some(_) => self.accepted = true,
        }
    }
}

impl<'a> Way<'a, '_> {
    fn walk(&mut self, name: &str) -> Ends<'a> {
        let mut ends = Ends::default();
        let Some(chain) = self.chain(name) else { return Ends { returned: true, ..ends } };
        self.entered += 1;
        if self.entered > LONGEST || self.depth > DEEPEST {
            return Ends { accepted: true, returned: true, ..ends };
        }
        for rule in &chain.rules {
            let conditions = Conditions::parse(&rule.text);
            let matches = conditions.matches(self.packet);
            if matches != Match::No && !self.obey(chain, rule, &conditions, &mut ends) && matches == Match::Yes {
                return ends;
            }
        }
        ends.end(chain);
        ends
    }

    /// Adds how the packet may end by a rule that it matches. Says whether it may come to the next rule.
    fn obey(&mut self, chain: &'a Chain, rule: &'a Rule, conditions: &Conditions, ends: &mut Ends<'a>) -> bool {
        match conditions.target.as_deref() {
            Some("DROP" | "REJECT") => ends.dropped.push(Dropped { chain, rule: Some(rule) }),
            Some("ACCEPT" | "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT") => ends.accepted = true,
            // A program decides, or another part of the kernel.
            Some("NFQUEUE" | "QUEUE" | "TPROXY" | "SYNPROXY") => ends.accepted = true,
            Some("RETURN") => ends.end(chain),
            Some(target) if self.chain(target).is_some() => {
                self.depth += 1;
                let within = self.walk(target);
                self.depth -= 1;
                ends.accepted |= within.accepted;
                ends.dropped.extend(within.dropped);
                if within.returned && conditions.goes {
                    ends.end(chain);
                }
                return within.returned && !conditions.goes;
            }
            // What marks, logs or counts.
            Some(_) | None => return true,
        }
        false
    }

    fn chain(&self, name: &str) -> Option<&'a Chain> {
        let mut chains = self.firewall.chains.iter().filter(|c| c.family == self.packet.family() && c.machinery == self.machinery);
        chains.find(|c| c.table == self.table && c.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Family, parse};
    use super::*;

    fn firewall(rules: &str) -> Firewall {
        let declared = ":INPUT DROP [4:240]\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:OTHER - [0:0]\n";
        let text = format!("# Generated by iptables-save v1.8.9 (nf_tables)\n*filter\n{declared}{rules}COMMIT\n");
        Firewall { chains: parse(&text, Family::V4).expect("a table"), ..Firewall::default() }
    }

    fn packet() -> Packet {
        let ip = |text: &str| text.parse().expect("an address");
        Packet::first(ip("172.18.0.3"), ip("172.19.0.2"), 8080).by(Some("br-a".into()), Some("br-b".into()))
    }

    fn certain(rules: &str, chain: &str) -> Option<String> {
        firewall(rules).fate("filter", chain, &packet()).certain().map(|dropped| dropped.text())
    }

    #[test]
    fn a_rule_in_a_chain_that_is_jumped_to_drops() {
        let rules = "[9:1] -A FORWARD -j DOCKER-USER\n[0:0] -A FORWARD -i br-a -j ACCEPT\n[2:1] -A DOCKER-USER -i br-a -p tcp -m tcp --dport 8080 -j DROP\n[7:1] -A DOCKER-USER -j RETURN\n";
        let drop = "-A DOCKER-USER -i br-a -p tcp -m tcp --dport 8080 -j DROP";
        assert_eq!(certain(rules, "FORWARD").as_deref(), Some(drop));
        assert_eq!(certain(rules, "DOCKER-USER").as_deref(), Some(drop));
        let other = Packet { port: 80, ..packet() };
        let (passing, elsewhere) = (firewall(rules), Fate { passes: true, dropped: Vec::new() });
        assert_eq!(passing.fate("filter", "FORWARD", &other), elsewhere);
        assert_eq!(passing.fate("raw", "PREROUTING", &packet()), elsewhere);
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        assert_eq!(certain("[0:0] -A FORWARD -i br-a -j ACCEPT\n[0:0] -A FORWARD -j DROP\n", "FORWARD"), None);
        assert_eq!(
            certain("[0:0] -A FORWARD -i br-x -j ACCEPT\n[0:0] -A FORWARD -j DROP\n", "FORWARD").as_deref(),
            Some("-A FORWARD -j DROP")
        );
        assert_eq!(
            certain("[0:0] -A FORWARD -j LOG --log-prefix \"x \"\n[0:0] -A FORWARD -j REJECT\n", "FORWARD").as_deref(),
            Some("-A FORWARD -j REJECT")
        );
    }

    #[test]
    fn a_policy_drops_what_no_rule_takes() {
        assert_eq!(certain("", "INPUT").as_deref(), Some("-P INPUT DROP"));
        assert_eq!(certain("[0:0] -A INPUT -j RETURN\n", "INPUT").as_deref(), Some("-P INPUT DROP"));
        let whole = firewall("");
        assert_eq!(whole.fate("filter", "INPUT", &packet()).certain().map(|d| d.packets()), Some(4));
        assert_eq!(certain("", "FORWARD"), None);
    }

    #[test]
    fn what_may_match_decides_nothing_for_certain() {
        let either = |rules: &str| {
            let whole = firewall(rules);
            let fate = whole.fate("filter", "FORWARD", &packet());
            (fate.passes, fate.dropped.len())
        };
        assert_eq!(either("[0:0] -A FORWARD -m limit --limit 1/sec -j DROP\n"), (true, 1));
        assert_eq!(either("[0:0] -A FORWARD -m set --match-set good src -j ACCEPT\n[0:0] -A FORWARD -j DROP\n"), (true, 1));
        assert_eq!(either("[0:0] -A FORWARD -m set --match-set good src -j OTHER\n[0:0] -A OTHER -j DROP\n"), (true, 1));
        assert_eq!(either("[0:0] -A FORWARD -m mark --mark 0x1 -j DROP\n[0:0] -A FORWARD -j DROP\n"), (false, 2));
    }

    #[test]
    fn a_chain_that_is_gone_to_does_not_come_back() {
        assert_eq!(certain("[0:0] -A INPUT -g OTHER\n[0:0] -A INPUT -j ACCEPT\n", "INPUT").as_deref(), Some("-P INPUT DROP"));
        assert_eq!(certain("[0:0] -A FORWARD -g OTHER\n[0:0] -A FORWARD -j DROP\n", "FORWARD"), None);
        assert_eq!(certain("[0:0] -A FORWARD -j OTHER\n[0:0] -A FORWARD -j DROP\n", "FORWARD").as_deref(), Some("-A FORWARD -j DROP"));
    }

    #[test]
    fn a_loop_ends() {
        let twice = "[0:0] -A OTHER -j DOCKER-USER\n".repeat(2);
        let whole = firewall(&format!("[0:0] -A DOCKER-USER -j OTHER\n{twice}"));
        assert!(whole.fate("filter", "DOCKER-USER", &packet()).passes);
    }

    #[test]
    fn both_machineries_have_to_let_it_pass() {
        let mut whole = firewall("[0:0] -A FORWARD -j ACCEPT\n");
        whole.chains.push(Chain {
            machinery: Machinery::Legacy,
            table: "filter".into(),
            name: "FORWARD".into(),
            policy: Some("DROP".into()),
            ..Chain::default()
        });
        let fate = whole.fate("filter", "FORWARD", &packet());
        assert_eq!(fate.certain().map(|d| (d.text(), d.is_silent())), Some(("-P FORWARD DROP".into(), true)));
    }
}
