//! What a rule asks of a packet, and where it sends it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::packet::{Packet, State};

/// Whether a rule matches a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// It does not.
    No,
    /// It depends on what is not known of the packet, or on a condition that is not understood.
    Maybe,
    /// It does.
    Yes,
}

/// A rule's conditions and target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    all: Vec<Condition>,
    /// Whether there are conditions that are not understood.
    is_partly_unknown: bool,
    /// A verdict such as `DROP`, another chain, or what only marks or counts; none for a rule that only counts.
    pub target: Option<String>,
    /// Whether a chain that returns continues where this one's caller stood, and not here (`-g`).
    pub goes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    not: bool,
    of: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Input(String),
    Output(String),
    Source(IpNet),
    Destination(IpNet),
    Protocol(String),
    /// Ranges of destination ports.
    Ports(Vec<(u16, u16)>),
    States(Vec<String>),
    /// Kinds of addresses, of which the destination is one.
    Destined(Vec<String>),
    /// The flags of a connection's first packet.
    Syn,
}

impl Conditions {
    /// Reads a rule as `iptables-save` writes it: `-A CHAIN`, conditions, then `-j` or `-g` with the target and its options.
    pub fn parse(rule: &str) -> Self {
        let words = words(rule);
        let mut rest = words.iter().map(String::as_str).peekable();
        let mut conditions = Conditions::default();
        let mut not = false;
        while let Some(word) = rest.next() {
            match word {
                "!" => {
                    not = true;
                    continue;
                }
                // What names the module or the chain asks nothing by itself, nor does a remark.
                "-A" | "-m" | "--match" | "--comment" => drop(rest.next()),
                "-j" | "-g" | "--jump" | "--goto" => {
                    conditions.target = rest.next().map(str::to_owned);
                    conditions.goes = matches!(word, "-g" | "--goto");
                    // The rest is the target's.
                    break;
                }
                "--syn" => conditions.all.push(Condition { not, of: Kind::Syn }),
                "--tcp-flags" => {
                    let (mask, set) = (rest.next(), rest.next());
                    let syn = (mask, set) == (Some("FIN,SYN,RST,ACK"), Some("SYN"));
                    conditions.add(not, syn.then_some(Kind::Syn));
                }
                option if option.starts_with('-') => {
                    let value = rest.next_if(|word| !word.starts_with('-') && *word != "!");
                    conditions.add(not, value.and_then(|value| kind(option, value)));
                }
                // A further value of something that is not understood.
                _ => conditions.is_partly_unknown = true,
            }
            not = false;
        }
        conditions
    }

    /// Whether its target drops or rejects.
    pub fn drops(&self) -> bool {
        matches!(self.target.as_deref(), Some("DROP" | "REJECT"))
    }

    /// Whether it asks for a destination: an address or ports.
    pub fn is_of_destination(&self) -> bool {
        self.all.iter().any(|c| !c.not && matches!(c.of, Kind::Destination(_) | Kind::Ports(_)))
    }

    /// Whether a packet meets all conditions.
    pub fn matches(&self, packet: &Packet) -> Match {
        let known = self.all.iter().map(|condition| condition.matches(packet)).min().unwrap_or(Match::Yes);
        if self.is_partly_unknown { known.min(Match::Maybe) } else { known }
    }

    fn add(&mut self, not: bool, of: Option<Kind>) {
        match of {
            Some(of) => self.all.push(Condition { not, of }),
            None => self.is_partly_unknown = true,
        }
    }
}

impl Condition {
    fn matches(&self, packet: &Packet) -> Match {
        match (self.of.matches(packet), self.not) {
            (Some(matches), not) if matches != not => Match::Yes,
            (Some(_), _) => Match::No,
            (None, _) => Match::Maybe,
        }
    }
}

impl Kind {
    /// Nothing where the packet is not known so well.
    fn matches(&self, packet: &Packet) -> Option<bool> {
        Some(match self {
            Kind::Input(name) => is_interface(name, packet.input.as_deref()?),
            Kind::Output(name) => is_interface(name, packet.output.as_deref()?),
            Kind::Source(net) => net.contains(&packet.source?),
            Kind::Destination(net) => net.contains(&packet.destination),
            Kind::Protocol(name) => packet.protocol.is(name),
            Kind::Ports(ranges) => ranges.iter().any(|(first, last)| (*first..=*last).contains(&packet.port)),
            Kind::States(names) if names.iter().any(|name| name == packet.state.name()) => true,
            // Whether it was translated.
            Kind::States(names) if names.iter().any(|name| matches!(name.as_str(), "DNAT" | "SNAT")) => return None,
            Kind::States(_) => false,
            // What is for a host has a local address; what it passes on is one host's.
            Kind::Destined(kinds) => {
                let is = if packet.is_for_host? { "LOCAL" } else { "UNICAST" };
                kinds.iter().any(|kind| kind == is)
            }
            Kind::Syn => packet.state == State::New,
        })
    }
}

/// A name that ends in `+` stands for all that begin so.
fn is_interface(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('+').map_or(pattern == name, |start| name.starts_with(start))
}

fn kind(option: &str, value: &str) -> Option<Kind> {
    Some(match option {
        "-i" | "--in-interface" => Kind::Input(value.to_owned()),
        "-o" | "--out-interface" => Kind::Output(value.to_owned()),
        "-s" | "--source" => Kind::Source(net(value)?),
        "-d" | "--destination" => Kind::Destination(net(value)?),
        "-p" | "--protocol" => Kind::Protocol(value.to_owned()),
        "--dport" | "--dports" => Kind::Ports(value.split(',').map(range).collect::<Option<_>>()?),
        "--dst-type" => Kind::Destined(value.split(',').map(str::to_owned).collect()),
        "--ctstate" | "--state" => Kind::States(value.split(',').map(str::to_owned).collect()),
        _ => return None,
    })
}

/// `172.18.0.0/16`, `172.18.0.0/255.255.0.0` or one address.
fn net(text: &str) -> Option<IpNet> {
    let Some((address, mask)) = text.split_once('/') else { return text.parse::<IpAddr>().ok().map(IpNet::from) };
    match mask.parse() {
        Ok(mask) => IpNet::with_netmask(address.parse().ok()?, mask).ok(),
        Err(_) => text.parse().ok(),
    }
}

/// `80` or `8000:8010`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The words of a rule. A remark with spaces stands in quotes, in which a backslash takes away a letter's meaning.
fn words(rule: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let (mut quoted, mut letters) = (false, rule.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(letters.next()),
            space if space.is_whitespace() && !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        let ip = |text: &str| text.parse().expect("an address");
        Packet::first(ip("172.18.0.3"), ip("172.19.0.2"), 8080).by(Some("br-a".into()), None)
    }

    #[test]
    fn conditions_that_are_understood_decide() {
        for (rule, expected) in [
            ("-A FORWARD -j DROP", Match::Yes),
            ("-A FORWARD -s 172.18.0.0/16 -d 172.19.0.2/32 -i br-a -p tcp -m tcp --dport 8080 -j DROP", Match::Yes),
            ("-A FORWARD -s 172.18.0.0/255.255.0.0 -j DROP", Match::Yes),
            ("-A FORWARD ! -s 172.18.0.0/16 -j DROP", Match::No),
            ("-A FORWARD ! -i br-a -j DROP", Match::No),
            ("-A FORWARD ! -i br-b -j DROP", Match::Yes),
            ("-A FORWARD -i br-+ -j DROP", Match::Yes),
            ("-A FORWARD -p udp -j DROP", Match::No),
            ("-A FORWARD -p tcp -m multiport --dports 80,443,8000:8100 -j DROP", Match::Yes),
            ("-A FORWARD -p tcp -m multiport ! --dports 80,443 -j DROP", Match::Yes),
            ("-A FORWARD -p tcp -m tcp --dport 80 -j DROP", Match::No),
            ("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", Match::No),
            ("-A FORWARD -m state --state NEW -j DROP", Match::Yes),
            ("-A FORWARD -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", Match::Yes),
            ("-A FORWARD -m comment --comment \"-s 10.0.0.0/8 -j ACCEPT\" -j DROP", Match::Yes),
        ] {
            let conditions = Conditions::parse(rule);
            assert_eq!((conditions.matches(&packet()), conditions.target.is_some()), (expected, true), "{rule}");
        }
    }

    #[test]
    fn what_is_not_known_may_match_unless_something_else_does_not() {
        for (rule, expected) in [
            ("-A FORWARD -o br-b -j DROP", Match::Maybe),
            ("-A FORWARD ! -o br-b -j DROP", Match::Maybe),
            ("-A FORWARD -m set --match-set bad src,dst -j DROP", Match::Maybe),
            ("-A FORWARD -m limit --limit 3/min --limit-burst 10 -j DROP", Match::Maybe),
            ("-A FORWARD -p tcp -m tcp --sport 1024:65535 -j DROP", Match::Maybe),
            ("-A FORWARD -m addrtype --dst-type LOCAL -p udp -j DROP", Match::No),
            ("-A FORWARD -s somewhere -j DROP", Match::Maybe),
            ("-A FORWARD -f -j DROP", Match::Maybe),
            ("-A FORWARD -m recent --update --rsource ! -i br-b -j DROP", Match::Maybe),
            ("-A FORWARD -m conntrack --ctstate DNAT -j DROP", Match::Maybe),
        ] {
            let conditions = Conditions::parse(rule);
            assert_eq!((conditions.matches(&packet()), conditions.drops()), (expected, true), "{rule}");
        }
    }

    #[test]
    fn a_targets_options_are_not_conditions() {
        let conditions = Conditions::parse("-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80");
        assert_eq!((conditions.matches(&packet()), conditions.target.as_deref()), (Match::Yes, Some("DNAT")));
        assert!(Conditions::parse("-A A -j REJECT --reject-with icmp-port-unreachable").drops());
        assert!(Conditions::parse("-A A -g B").goes);
    }

    proptest::proptest! {
        #[test]
        fn no_rule_panics(rule: String) {
            let _ = Conditions::parse(&rule).matches(&packet());
        }
    }
}
